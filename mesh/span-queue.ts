/**
 * Spans on their way to the collector: bounded, counted, never waited for. A collector that is away costs spans, and one line
 * in the log.
 */
import type { ExportResult } from "@opentelemetry/core";
import { ExportResultCode } from "@opentelemetry/core";
import type { ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace";
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace";
import type { Logger } from "#mesh/log.ts";
import type { SpanCounts } from "#mesh/tracing.ts";

/** Ended and not yet taken by the collector; what ends beyond it is dropped. */
export const spansWaitingMax = 4_096;
const exportSpansMax = 512;

export type SpanQueueOptions = {
  /** "host:port", for the log. */
  readonly collector: string;
  /** Between two exports. */
  readonly pauseMs: number;
  readonly log: Logger;
};

export class SpanQueue implements SpanProcessor {
  readonly #batches: BatchSpanProcessor;
  readonly #exporter: SpanExporter;
  readonly #collector: string;
  readonly #log: Logger;
  #waiting = 0;
  #exported = 0;
  #dropped = 0;
  #trouble = false;

  constructor(exporter: SpanExporter, { collector, pauseMs, log }: SpanQueueOptions) {
    this.#exporter = exporter;
    this.#collector = collector;
    this.#log = log;
    this.#batches = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => this.#export(spans, done),
        shutdown: () => exporter.shutdown(),
        forceFlush: async () => {},
      },
      maxExportBatchSize: exportSpansMax,
      scheduledDelayMillis: pauseMs,
      // It counts nothing that it drops, so the bound is kept here.
      maxQueueSize: spansWaitingMax + exportSpansMax,
    });
  }

  get counts(): SpanCounts {
    return { exported: this.#exported, dropped: this.#dropped };
  }

  get waiting(): number {
    return this.#waiting;
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if (this.#waiting >= spansWaitingMax) {
      this.#dropped += 1;
      return;
    }
    this.#waiting += 1;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }

  #export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#exporter.export(spans, (result) => {
      this.#waiting -= spans.length;
      if (result.code === ExportResultCode.SUCCESS) this.#exported += spans.length;
      else this.#dropped += spans.length;
      this.#tell(result);
      // The library would tell its own error handler; it has been told.
      done({ code: ExportResultCode.SUCCESS });
    });
  }

  /** When it changes, not each time. */
  #tell({ code, error }: ExportResult): void {
    const trouble = code !== ExportResultCode.SUCCESS;
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    if (trouble) this.#log.warn({ collector: this.#collector, err: error }, "the collector does not take traces");
    else this.#log.info({ collector: this.#collector }, "the collector takes traces again");
  }
}
