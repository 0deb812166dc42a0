import { registerHooks } from 'node:module';
import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { type ReadableSpan, type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

/** Keeps the spans that have ended. Asynchronous work below a span finds it from here on. */
export function collectSpans() {
  const spans: ReadableSpan[] = [];
  const processor: SpanProcessor = {
    onStart() {},
    onEnd: (span) => void spans.push(span),
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  return { spans, provider: new TracerProvider({ spanProcessors: [processor] }) };
}

/**
 * Stands in for the package `@opentelemetry/sdk-node`, which is none of our dependencies, in processes that run with
 * `--import` of this file. Sends nothing anywhere: at the end it prints the names of the spans.
 */
export class NodeSDK {
  readonly #options: object;
  readonly #collected = collectSpans();

  constructor(options: object) {
    this.#options = options;
  }

  start(): void {
    trace.setGlobalTracerProvider(this.#collected.provider);
  }

  async shutdown(): Promise<void> {
    const names = this.#collected.spans.map(({ name }) => name);
    process.stdout.write(`${JSON.stringify({ msg: 'exported', options: this.#options, names })}\n`);
  }
}

if (process.execArgv.concat(process.env.NODE_OPTIONS ?? '').some((each) => each.includes('otel-sdk')))
  registerHooks({
    resolve: (specifier, from, next) =>
      next(specifier === '@opentelemetry/sdk-node' ? import.meta.url : specifier, from),
  });
