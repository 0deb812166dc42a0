import { Refusal } from '../errors.ts';
import { origin } from '../rpc/context.ts';
import { networkOf } from '../throttle/client-network.ts';
import { kindOfPollingSecret } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { stateToMessage } from './message.ts';
import { findByPollingSecret } from './poll.ts';
import { StreamSeats } from './stream-seats.ts';

/**
 * Streams the states of a login of any kind. It redeems nothing: a stream that breaks with the tokens would lose them. Its client
 * resumes with the same secret, on any replica.
 */
export function awaitLogin({ watch }: DeviceDeps): Pick<DeviceMethods, 'awaitLogin'> {
  const seats = new StreamSeats();
  return {
    async *awaitLogin({ pollingSecret }, context) {
      const kind = kindOfPollingSecret(pollingSecret);
      const leave = seats.take(networkOf(origin(context).address));
      try {
        const attempt = kind && (await findByPollingSecret(context, kind, pollingSecret));
        if (!attempt) throw new Refusal('INVALID_POLLING_CODE');
        for await (const state of watch.statesOf(attempt, context.signal)) yield { state: stateToMessage(state) };
      } finally {
        leave();
      }
    },
  };
}
