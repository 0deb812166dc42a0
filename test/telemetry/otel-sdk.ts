import { registerHooks } from 'node:module';
import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { type ReadableSpan, type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

/** Collects the spans that have ended, and enables the propagation of spans to asynchronous work. */
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
 * Replaces the package `@opentelemetry/sdk-node`, which we do not depend on, in processes that run with `--import` of
 * this file. Exports nothing: at its end it prints the names of the spans.
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
