import { connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { Client, credentials } from '@grpc/grpc-js';
import { DeviceService } from '../gen/gatehouse/v1/device_pb.ts';
import { LoginState } from '../gen/gatehouse/v1/login_pb.ts';
import { SessionService } from '../gen/gatehouse/v1/session_pb.ts';
import { createGrpcTransport } from '../src/sdk/grpc-transport.ts';
import { frame } from './frames.ts';
import { percentile } from './generator.ts';
import { pollingSecretOf, seedLogins } from './logins.ts';
import { cpuOf, memoryOf } from './processes.ts';
import { refreshTokenOf } from './seed.ts';
import type { Stage } from './stage.ts';

export interface Streamed {
  /** Milliseconds from the confirmation on one replica to the tokens from another. */
  readonly approveToToken: { readonly p50: number; readonly p99: number };
  /** The share of it until the stream returns APPROVED. */
  readonly approveToEvent: { readonly p50: number; readonly p99: number };
  readonly streams: number;
  /** Kilobytes of resident memory per waiting stream. */
  readonly memoryPerStream: number;
  /** Of one core, while all streams wait. */
  readonly cpu: { readonly before: number; readonly waiting: number };
}

const path = '/gatehouse.v1.DeviceService/AwaitLogin';
/** The server admits as many on one connection. */
const perConnection = 100;

/** How long a decision takes to the other replica, and what a waiting stream costs. */
export async function measureStreams(stage: Stage, streams: number, logins: number): Promise<Streamed> {
  process.stderr.write(`Streams: ${streams} that wait ...\n`);
  await seedLogins(stage.database, 'fingerprint');
  const env = { TRUSTED_PROXY_HOPS: '1' };
  const [here, there] = [await stage.startApp(env), await stage.startApp(env)];
  const latencies = await latenciesBetween(here.ready, there.ready, logins);
  // The first streams compile the code and grow the heap.
  (await openStreams(here.ready, 0, Math.min(500, streams / 10))).close();
  await sleep(2000);
  const memory = memoryOf(here.pid);
  const cpuBefore = await cpuShareOf(here.pid);
  const open = await openStreams(here.ready, 1000, streams);
  await sleep(2000);
  const cpu = { before: cpuBefore, waiting: await cpuShareOf(here.pid) };
  const memoryPerStream = ((memoryOf(here.pid) - memory) * 1024) / streams;
  open.close();
  await Promise.all([here.stop(), there.stop()]);
  return { ...latencies, streams, memoryPerStream, cpu };
}

async function latenciesBetween(here: string, there: string, logins: number) {
  const channels = [here, there].map((address) => new Client(address, credentials.createInsecure()));
  const [program, browser] = channels.map((each) => createClient(DeviceService, createGrpcTransport(each, [])));
  const sessions = createClient(SessionService, createGrpcTransport(channels[1]!, []));
  const { tokens } = await sessions.refresh({ refreshToken: refreshTokenOf(9990) });
  const headers = { authorization: `Bearer ${tokens!.accessToken}` };
  const toEvent: number[] = [];
  const toToken: number[] = [];
  for (let n = 0; n < logins; n++) {
    const { loginUrl, pollingCode } = await program!.startFingerprintLogin({ fingerprintId: `machine-${n}` });
    const authCode = new URL(loginUrl).searchParams.get('auth_code')!;
    let confirmedAt = 0;
    for await (const { state } of program!.awaitLogin({ pollingSecret: pollingCode })) {
      if (state === LoginState.APPROVED) toEvent.push(performance.now() - confirmedAt);
      if (state !== LoginState.PENDING) break;
      // Anywhere between two looks.
      await sleep((n * 7) % 50);
      confirmedAt = performance.now();
      void browser!.confirmFingerprintLogin({ authCode }, { headers }).catch(() => {});
    }
    const polled = await program!.pollFingerprintLogin({ pollingCode });
    if (!polled.tokens) throw new Error(`state ${polled.state} without tokens`);
    toToken.push(performance.now() - confirmedAt);
  }
  for (const each of channels) each.close();
  return { approveToEvent: shares(toEvent), approveToToken: shares(toToken) };
}

function shares(latencies: number[]) {
  const sorted = Float64Array.from(latencies).sort();
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
}

/** Opens streams of logins from many addresses. Resolves when each has its first message. */
async function openStreams(address: string, first: number, count: number) {
  const sessions = Array.from({ length: Math.ceil(count / perConnection) }, () => connect(`http://${address}`));
  const open = (n: number) =>
    new Promise<void>((resolve, reject) => {
      const stream = sessions[Math.floor(n / perConnection)]!.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        'x-forwarded-for': `10.0.${n >> 8}.${n & 255}`,
      });
      const secret = Buffer.from(pollingSecretOf('fingerprint', first + n));
      stream.once('data', () => resolve());
      stream.once('trailers', (trailers) => reject(new Error(`status ${String(trailers['grpc-status'])}`)));
      stream.on('error', () => {});
      stream.end(frame(Buffer.concat([Buffer.of(0x0a, secret.length), secret])));
    });
  for (let n = 0; n < count; n += perConnection)
    await Promise.all(Array.from({ length: Math.min(perConnection, count - n) }, (_, k) => open(n + k)));
  return {
    close() {
      for (const each of sessions) each.destroy();
    },
  };
}

/** The share of one core that a process takes. */
async function cpuShareOf(pid: number): Promise<number> {
  const [before, seconds] = [cpuOf(pid, true), 3];
  await sleep(seconds * 1000);
  return (cpuOf(pid, true) - before) / seconds;
}
