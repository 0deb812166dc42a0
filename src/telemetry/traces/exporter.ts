import { setTimeout as sleep } from 'node:timers/promises';
import { type Tracer, trace } from '@opentelemetry/api';
import packageJson from '../../../package.json' with { type: 'json' };

export interface TraceExport {
  readonly tracer: Tracer;
  /** Sends what is left. */
  stop(): Promise<void>;
}

// Not one of our dependencies: whoever wants traces installs it. As a variable, so that nothing looks for it before.
const sdk = '@opentelemetry/sdk-node';

/**
 * Starts OpenTelemetry's SDK, which reads its own OTEL_* variables: where to send traces, and how many. Undefined when it
 * is not installed.
 */
export async function startTraceExport(serviceName: string | undefined): Promise<TraceExport | undefined> {
  const { NodeSDK } = await import(sdk).catch(ignoreMissing);
  if (!NodeSDK) return undefined;
  // Traces only: it would send metrics and logs too, and we have better ones.
  const nothingElse = { instrumentations: [], metricReaders: [], logRecordProcessors: [] };
  const exporting = new NodeSDK({ ...nothingElse, ...(serviceName && { serviceName }) });
  exporting.start();
  return {
    tracer: trace.getTracer('gatehouse', packageJson.version),
    // Neither an answer nor an error of whoever collects them keeps us from ending.
    stop: () => Promise.race([exporting.shutdown().catch(() => {}), sleep(2000)]),
  };
}

function ignoreMissing(error: NodeJS.ErrnoException): { NodeSDK?: undefined } {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  return {};
}
