import { parentPort, workerData } from 'node:worker_threads';
import { type MigratedOptions, openMigrated } from './migrated.ts';

const { url, options } = workerData as { readonly url: string; readonly options: MigratedOptions };
const log = (line: string): void => parentPort!.postMessage(line);

const orm = await openMigrated(url, options, { log, report: log });
await orm.close(true);
