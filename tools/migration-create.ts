import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { MikroORM } from '@mikro-orm/postgresql';
import { startEmbeddedPostgres } from '../src/database/embedded/postgres.ts';

/*
 * npm run migration:create -- add_device
 *
 * Writes src/database/migrations/Migration<time>_add_device.ts, from the schema of the existing migrations to that of the
 * entities, and adds it to the list of migrations.
 */
const folder = 'src/database/migrations';
const name = process.argv[2] ?? '';
if (!/^[a-z][a-z0-9_]*$/.test(name)) {
  console.error('usage: npm run migration:create -- name_in_snake_case');
  process.exit(1);
}

writeList();
const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-migration-'));
const cluster = await startEmbeddedPostgres(dir, { fast: true });
try {
  await createMigration(cluster.url('postgres'));
} finally {
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
}

async function createMigration(url: string): Promise<void> {
  // Imported only now: the list that it imports may have been missing, or have named a migration deleted since.
  const { migrate } = await import('../src/database/migrate.ts');
  const { openOrm } = await import('../src/database/orm.ts');
  const orm = await openOrm(url);
  try {
    await migrate(orm);
    const file = await writeMigration(orm);
    console.log(file ? `wrote ${path.join(folder, file)}` : 'nothing to do: the migrations make what the entities say');
  } finally {
    await orm.close(true);
  }
  writeList();
}

async function writeMigration(orm: MikroORM): Promise<string> {
  orm.config.get('migrations').path = folder;
  const { fileName } = await orm.migrator.create(folder, false, false, name);
  return fileName;
}

function writeList(): void {
  mkdirSync(folder, { recursive: true });
  const names = globSync('Migration*.ts', { cwd: folder })
    .map((file) => path.basename(file, '.ts'))
    .sort();
  const imports = names.map((each) => `import { ${each} } from './${each}.ts';`);
  const items = names.map((each) => `{ name: '${each}', class: ${each} }`);
  const text = [...imports, '', '/** In the order they run. */', `export const migrations = [${items}];`, ''].join(
    '\n',
  );
  writeFileSync(path.join(folder, 'index.ts'), text);
  execFileSync('node_modules/.bin/biome', ['check', '--write', folder], { stdio: ['ignore', 'ignore', 'inherit'] });
}
