import { type Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'vitest';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import type { TestDatabase } from './database.ts';

export function reasonOf(error: unknown): string | undefined {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0]?.reason;
}

export interface SeenRefusal {
  readonly code: Code;
  readonly reason: string | undefined;
  readonly message: string;
  readonly metadata: Record<string, string>;
  /** The fields of the violations. */
  readonly fields: string[];
  /** Seconds. */
  readonly retryAfter: number | undefined;
  /** The Retry-After header, or the trailer of that name. */
  readonly retryAfterHeader: string | undefined;
}

/** The refusal of a call that must fail. Fails the test when the call succeeds. */
export async function refusalOf(call: Promise<unknown>): Promise<SeenRefusal> {
  const error = await call.then(
    (answer) =>
      expect.fail(
        `not refused: ${JSON.stringify(answer, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}`,
      ),
    (thrown: unknown) => ConnectError.from(thrown),
  );
  const info = error.findDetails(ErrorInfoSchema);
  expect(info.length, 'every error has one ErrorInfo').toBe(1);
  const retry = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return {
    code: error.code,
    reason: info[0]?.reason,
    message: error.rawMessage,
    metadata: info[0]?.metadata ?? {},
    fields: violationsOf(error).map(({ field }) => field),
    retryAfter: retry && Number(retry.seconds) + retry.nanos / 1e9,
    retryAfterHeader: error.metadata.get('retry-after') ?? undefined,
  };
}

function violationsOf(error: ConnectError) {
  return error.findDetails(BadRequestSchema).flatMap((each) => each.fieldViolations);
}

/** What is wrong with the fields of a call that must fail. */
export async function faultsOf(call: Promise<unknown>): Promise<string[]> {
  const error = await call.then(() => expect.fail('not refused'), ConnectError.from);
  return violationsOf(error).map(({ description }) => description);
}

// The tables that a refused call may change.
const counters = ['audit_events', 'rate_limits', 'durable_rate_limits'];

/** The same. Fails the test as well when the refused call has changed a row other than counters and audit events. */
export async function refusalWithoutTrace(database: TestDatabase, call: () => Promise<unknown>): Promise<SeenRefusal> {
  // Mails of calls before leave by themselves.
  const waiting = `select id from mail_outbox where state = 'queued'`;
  await expect.poll(async () => (await database.query(waiting)).length, { timeout: 5000 }).toBe(0);
  const before = await database.checksums();
  const refusal = await refusalOf(call());
  const after = await database.checksums();
  for (const sums of [before, after]) for (const table of counters) delete sums[table];
  expect(after, 'a refused call changes nothing').toEqual(before);
  return refusal;
}
