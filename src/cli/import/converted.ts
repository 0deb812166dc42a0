import { readFile } from 'node:fs/promises';
import { convertAuth0 } from './auth0.ts';
import { betterAuth } from './better-auth.ts';
import { convertTables } from './convert-tables.ts';
import type { ImportInput } from './input.ts';
import { kratos } from './kratos.ts';
import { supabase } from './supabase.ts';
import type { Converted, TableSystem, Unreadable } from './system.ts';
import { databaseSource, fileSource, streamSource, type TableSource } from './table-source.ts';

/** The systems whose tables are read. */
export const tableSystems = { supabase, kratos, 'better-auth': betterAuth };

/** The values of --from. */
export const systems = [...Object.keys(tableSystems), 'auth0'];

/** A source that cannot be read, or no further. */
export class SourceFault extends Error {}

/** Where the users of another system are. */
interface Source {
  readonly url: string | undefined;
  readonly input: ImportInput | undefined;
  readonly secrets: string | undefined;
}

/** The users of another system as lines of an import. Throws SourceFault. */
export async function* converted(from: string, order: Source): AsyncGenerator<Converted | Unreadable> {
  try {
    if (from === 'auth0') yield* convertAuth0(order.input!.bytes(), order.secrets);
    else yield* convertedTables(tableSystems[from as keyof typeof tableSystems], order);
  } catch (error) {
    throw new SourceFault((error as Error).message, { cause: error });
  }
}

async function* convertedTables(system: TableSystem, { url, input, secrets }: Source) {
  const secret = secrets && (await readFile(secrets, 'utf8')).replace(/\r?\n$/, '');
  const source = url ? await databaseSource(url) : sourceOf(input!, system);
  try {
    yield* convertTables(source, system, { secret });
  } finally {
    await source.close();
  }
}

function sourceOf({ isFile, bytes }: ImportInput, { tables }: TableSystem): TableSource {
  return isFile ? fileSource(bytes, tables) : streamSource(bytes(), tables);
}
