import { createHash } from 'node:crypto';
import type pg from 'pg';
import { DeviceService } from '../gen/gatehouse/v1/device_pb.ts';
import { hashPollingSecret } from '../src/device/codes.ts';
import { defaultProjectId } from '../src/project/project.ts';
import { pathOf, requestFrame } from './frames.ts';
import { Caller, type Chain } from './generator.ts';
import type { Scenario } from './scenarios.ts';

/** More than are polled within one interval of five seconds: none is polled too early. */
export const loginCount = 50_000;
const connections = 4;

/** The polling secret of the nth login. */
export function pollingSecretOf(n: number): string {
  return `ghpf_${createHash('sha256').update(`login ${n}`).digest('base64url')}`;
}

/** Fills the database with logins that wait for a decision. */
export async function seedLogins(database: pg.Client): Promise<void> {
  const hashes = Array.from({ length: loginCount }, (_, n) =>
    hashPollingSecret(defaultProjectId, 'fingerprint', pollingSecretOf(n)),
  );
  await database.query(logins, [hashes]);
  await database.query('vacuum analyze login_attempts');
}

const logins = `
  insert into login_attempts (id, project_id, kind, state, code_hash, polling_hash, client_name, address, user_agent, comparison,
    about, created_at, expires_at, poll_interval)
  select ('01860000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '${defaultProjectId}', 'fingerprint', 'pending', sha256(hash),
    hash, 'a tool', '192.0.2.1', 'a-tool/1.0', '47', '{"fingerprintId": "a_machine"}', now(), now() + interval '1 day', 5
  from unnest($1::bytea[]) with ordinality as seeded (hash, n)
  on conflict do nothing`;

/** Many programs poll, each its own login at its own interval. */
export const pollFingerprintLogin: Scenario = {
  name: 'PollFingerprintLogin',
  slots: 32,
  async prepare(address) {
    const { pollFingerprintLogin: method } = DeviceService.method;
    const callers = Array.from({ length: connections }, () => new Caller(address, pathOf(method)));
    const requests = Array.from({ length: loginCount }, (_, n) =>
      requestFrame(method, { pollingCode: pollingSecretOf(n) }),
    );
    let turn = 0;
    const poll = async (slot: number) => {
      const { status, message, reason } = await callers[slot % connections]!.call(requests[turn++ % loginCount]!);
      if (status !== 0) throw new Error(`status ${status}: ${reason}`);
      return message.length;
    };
    const chain: Chain = async (slot) => void (await poll(slot));
    const answerBytes = await poll(0);
    const close = () => {
      for (const each of callers) each.close();
    };
    return { chain, request: requests[0]!, answerBytes, close };
  },
};
