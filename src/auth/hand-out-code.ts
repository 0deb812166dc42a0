import type { EntityManager } from '@mikro-orm/postgresql';
import type { Flow } from '../one-time/flow.ts';
import { issue } from '../one-time/issue.ts';
import type { User } from '../user/user.ts';

const exchangeSeconds = 300;

/** A code that the browser with the verifier exchanges for a session. */
export async function handOutCode(
  em: EntityManager,
  { id: userId, projectId }: Pick<User, 'id' | 'projectId'>,
  flow: Flow,
  at: Date,
): Promise<string> {
  const about = { projectId, userId, kind: 'auth_code', target: '' } as const;
  const { raw } = await issue(em, { ...about, flow, lifetime: exchangeSeconds, isHandedOut: true }, at);
  return raw;
}
