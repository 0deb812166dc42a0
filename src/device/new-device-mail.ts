import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { origin } from '../rpc/context.ts';
import { deviceName } from '../session/device-name.ts';
import type { User } from '../user/user.ts';
import type { DeviceDeps } from './deps.ts';

/**
 * Enqueues the mail about a device that was signed in. Attack: a user can be led to approve the device of somebody else, and
 * a code can be redeemed by a person who saw it. The mail is always sent, since an approval is rare.
 */
export async function notifyOfDevice(
  em: EntityManager,
  context: HandlerContext,
  { outbox, messages }: Pick<DeviceDeps, 'outbox' | 'messages'>,
  { projectId, email, name, locale }: User,
  now: Date,
): Promise<void> {
  if (!email) return;
  const { address, userAgent } = origin(context);
  const seen = { at: now, address, device: deviceName(userAgent) };
  await outbox.enqueue(em, messages.newDevice({ projectId, email, name, locale }, seen), now);
}
