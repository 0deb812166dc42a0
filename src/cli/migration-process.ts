import { type MigratedOptions, openMigrated } from './migrated.ts';

export interface MigrationOrder {
  readonly url: string;
  readonly options: MigratedOptions;
}

/** A line for the log, or the end of the migrations, with the message of their error. */
export type FromMigration = { readonly line: string } | { readonly fault: string | null };

// A primary that ends before the migrations have run ends them too.
process.once('disconnect', () => process.exit(1));
process.once('message', (order: MigrationOrder) => {
  run(order)
    .then(
      () => send({ fault: null }),
      (error: Error) => send({ fault: error.message }),
    )
    .then(() => process.exit());
});

async function run({ url, options }: MigrationOrder): Promise<void> {
  const log = (line: string): void => void send({ line });
  const orm = await openMigrated(url, options, { log, report: log });
  await orm.close(true);
}

function send(message: FromMigration): Promise<void> {
  return new Promise((resolve) => process.send!(message, () => resolve()));
}
