import { change } from '../rpc/context.ts';
import { advance } from './attempt.ts';
import { kindOfPollingSecret } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { findByPollingSecret } from './poll.ts';

/** Ends a login of any kind for the device that started it. The response is the same for any secret. */
export function cancelLogin({ now }: DeviceDeps): Pick<DeviceMethods, 'cancelLogin'> {
  return {
    async cancelLogin({ pollingSecret }, context) {
      const kind = kindOfPollingSecret(pollingSecret);
      const attempt = kind && (await findByPollingSecret(context, kind, pollingSecret));
      if (attempt) await change(context, (em) => advance(em, context, attempt, { event: 'cancel' }, now()));
      return {};
    },
  };
}
