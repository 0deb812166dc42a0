import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { isMainThread } from 'node:worker_threads';

/* Imported by a process under test before anything else: writes when it loads which module. */
const file = `${process.env.MODULES_LOADED}.${process.pid}`;
if (isMainThread)
  registerHooks({
    load(url, context, nextLoad) {
      appendFileSync(file, `${Date.now()} ${url}\n`);
      return nextLoad(url, context);
    },
  });
