import { setTimeout as sleep } from 'node:timers/promises';
import { type Tracer, trace } from '@opentelemetry/api';
import packageJson from '../../../package.json' with { type: 'json' };

export interface TraceExport {
  readonly tracer: Tracer;
  /** Sends the remaining spans. */
  stop(): Promise<void>;
}

// Not a dependency: operators who want traces install it. A variable, so that compilers and bundlers do not look for it.
const sdk = '@opentelemetry/sdk-node';

/**
 * Starts OpenTelemetry's SDK, which reads its destination and its sampling from OTEL_* variables. Undefined when it is not
 * installed.
 */
export async function startTraceExport(serviceName: string | undefined): Promise<TraceExport | undefined> {
  const { NodeSDK } = await import(sdk).catch(ignoreMissing);
  if (!NodeSDK) return undefined;
  // Traces only: by default the SDK would also send metrics and logs.
  const tracesOnly = { instrumentations: [], metricReaders: [], logRecordProcessors: [] };
  const exporting = new NodeSDK({ ...tracesOnly, ...(serviceName && { serviceName }) });
  exporting.start();
  return {
    tracer: trace.getTracer('gatehouse', packageJson.version),
    // A collector that fails or does not respond must not delay the end of the process.
    stop: () => Promise.race([exporting.shutdown().catch(() => {}), sleep(2000)]),
  };
}

function ignoreMissing(error: NodeJS.ErrnoException): { NodeSDK?: undefined } {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  return {};
}
