import { flushCompileCache } from 'node:module';
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Milliseconds between two looks at how busy the process is. */
const interval = 5000;
/** The share of its time above which a process has calls to serve. */
const busy = 0.1;

/**
 * Keeps the compiled code and returns memory to the system, once the process is idle after its start. V8 has given its
 * young generation 32 MB while modules were loaded. It returns memory only when it collects, which an idle process does
 * not. Both take a tenth of a second, and the former happens only after a start without a cache.
 */
export function tidyOnceIdle(): void {
  const before = performance.eventLoopUtilization();
  const timer = setTimeout(() => {
    if (performance.eventLoopUtilization(before).utilization > busy) return tidyOnceIdle();
    // Otherwise a process that is killed would keep nothing.
    flushCompileCache();
    collect();
  }, interval);
  timer.unref();
}

function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as NodeJS.GCFunction;
  gc({ type: 'major', flavor: 'last-resort', execution: 'sync' });
}
