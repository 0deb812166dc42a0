import { Connections } from './connections.ts';

/** Creates the database that the URL names, from the database `postgres`. Returns its name; undefined when it exists. */
export async function createDatabase(url: string): Promise<string | undefined> {
  const connections = new Connections(url, { statementTimeout: 0, connectTimeout: 10 });
  const { database: name } = connections.attempts.target;
  if (!name) return undefined;
  const client = await connections.open({}, 'postgres');
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount) return undefined;
    // The template of text in another encoding or order could be any; template0 allows ours.
    await client.query(`create database ${client.escapeIdentifier(name)} encoding 'UTF8' template template0`);
    return name;
  } catch (error) {
    // Race: another replica created it in the meantime.
    if (['42P04', '23505'].includes((error as { code?: string }).code ?? '')) return undefined;
    throw error;
  } finally {
    await client.end();
  }
}
