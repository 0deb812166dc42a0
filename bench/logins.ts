import { createHash } from 'node:crypto';
import type { DescMethodUnary, MessageInitShape } from '@bufbuild/protobuf';
import type pg from 'pg';
import { DeviceService } from '../gen/gatehouse/v1/device_pb.ts';
import { hashPollingSecret } from '../src/device/codes.ts';
import { type AttemptKind, kinds } from '../src/device/kinds.ts';
import { defaultProjectId } from '../src/project/project.ts';
import { pathOf, requestFrame } from './frames.ts';
import { type Answer, Caller, type Chain } from './generator.ts';
import type { Scenario } from './wire.ts';

/** More than are polled within one interval of five seconds: none is polled too early. */
const loginCount = 50_000;
const connections = 4;

/** The logins that are seeded: what their rows keep beside the columns, and the beginning of their ids. */
const seeded = {
  device: { about: { credential: 'api_key', scopes: [] }, idStart: '01860000-0000-7000-8001-' },
  fingerprint: { about: { fingerprintId: 'a_machine' }, idStart: '01860000-0000-7000-8002-' },
} as const satisfies Partial<Record<AttemptKind, object>>;

type SeededKind = keyof typeof seeded;

/** The polling secret of the nth login of a kind. */
export function pollingSecretOf(kind: SeededKind, n: number): string {
  return kinds[kind].pollingPrefix + createHash('sha256').update(`login ${n}`).digest('base64url');
}

/** Fills the database with logins of a kind that wait for a decision. */
export async function seedLogins(database: pg.Client, kind: SeededKind): Promise<void> {
  const { about, idStart } = seeded[kind];
  const hashes = Array.from({ length: loginCount }, (_, n) =>
    hashPollingSecret(defaultProjectId, kind, pollingSecretOf(kind, n)),
  );
  await database.query(logins, [hashes, kind, JSON.stringify(about), idStart]);
  await database.query('vacuum analyze login_attempts');
}

const logins = `
  insert into login_attempts (id, project_id, kind, state, code_hash, polling_hash, client_name, address, user_agent, comparison,
    about, created_at, expires_at, poll_interval)
  select ($4 || lpad(to_hex(n), 12, '0'))::uuid, '${defaultProjectId}', $2, 'pending', sha256(hash), hash, 'a tool',
    '192.0.2.1', 'a-tool/1.0', '47', $3, now(), now() + interval '1 day', 5
  from unnest($1::bytea[]) with ordinality as seeded (hash, n)
  on conflict do nothing`;

interface Poll<M extends DescMethodUnary> {
  readonly kind: SeededKind;
  readonly method: M;
  readonly messageOf: (pollingSecret: string) => MessageInitShape<M['input']>;
  readonly isWaiting: (answer: Answer) => boolean;
}

/** Many devices poll, each its own login at its own interval. */
function pollOf<M extends DescMethodUnary>({ kind, method, messageOf, isWaiting }: Poll<M>) {
  return {
    kind,
    name: method.name,
    slots: 32,
    async prepare(address) {
      const callers = Array.from({ length: connections }, () => new Caller(address, pathOf(method)));
      const requests = Array.from({ length: loginCount }, (_, n) =>
        requestFrame(method, messageOf(pollingSecretOf(kind, n))),
      );
      let turn = 0;
      const poll = async (slot: number) => {
        const answer = await callers[slot % connections]!.call(requests[turn++ % loginCount]!);
        if (!isWaiting(answer)) throw new Error(`status ${answer.status}: ${answer.reason}`);
        return answer.message.length;
      };
      const chain: Chain = async (slot) => void (await poll(slot));
      const answerBytes = await poll(0);
      const close = () => {
        for (const each of callers) each.close();
      };
      return { chain, request: requests[0]!, answerBytes, close };
    },
  } satisfies Scenario & { kind: SeededKind };
}

/** The code of FAILED_PRECONDITION, which AUTHORIZATION_PENDING has. */
const failedPrecondition = 9;

export const polls = [
  pollOf({
    kind: 'device',
    method: DeviceService.method.pollDeviceToken,
    messageOf: (deviceCode) => ({ deviceCode }),
    isWaiting: ({ status }) => status === failedPrecondition,
  }),
  pollOf({
    kind: 'fingerprint',
    method: DeviceService.method.pollFingerprintLogin,
    messageOf: (pollingCode) => ({ pollingCode }),
    isWaiting: ({ status }) => status === 0,
  }),
];
