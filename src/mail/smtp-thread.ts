import { platform, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { DeliveryFault } from './delivery.ts';
import type { EndOfAttempt, FromThread, ThreadSettings, ToThread } from './thread-messages.ts';
import { smtpDelivery } from './transport.ts';

/* The thread that sends mails. Started by threadedDelivery. */

lowerPriority();

const { server, from } = workerData as ThreadSettings;
const delivery = smtpDelivery(server, from);
let underWay = 0;
let isClosing = false;
post('started');

parentPort!.on('message', (message: ToThread) => {
  if (message.kind === 'close') {
    isClosing = true;
    delivery.close();
    return endWhenIdle();
  }
  underWay++;
  delivery.send(message.mail).then(
    () => respond({ n: message.n }),
    (error: unknown) => respond({ n: message.n, fault: faultOf(error) }),
  );
});

/** On Linux this is the priority of the thread. When the CPU is busy, calls go first, and mails keep a quarter of it. */
function lowerPriority(): void {
  try {
    if (platform() === 'linux') setPriority(5);
  } catch {
    // Some sandboxes forbid it. Mails are then sent at the priority of calls.
  }
}

function post(message: FromThread): void {
  parentPort!.postMessage(message);
}

/** Another error means that the mail could not be composed. */
function faultOf(error: unknown): EndOfAttempt['fault'] {
  if (error instanceof DeliveryFault) return { code: error.code, verdict: error.verdict };
  return { code: (error as Error).name, verdict: 'not sent' };
}

function respond(response: EndOfAttempt): void {
  post(response);
  underWay--;
  endWhenIdle();
}

function endWhenIdle(): void {
  if (isClosing && underWay === 0) parentPort!.close();
}
