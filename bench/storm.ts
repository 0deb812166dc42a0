import { type Load, offer, percentile, saturate } from './generator.ts';
import { refresh, signIn } from './scenarios.ts';
import type { Stage } from './stage.ts';

export interface Storm {
  /** Sign-ins a second that were offered: four times what the service can complete. */
  readonly offered: number;
  readonly calm: { readonly p50: number; readonly p99: number };
  readonly storm: { readonly p50: number; readonly p99: number };
  readonly signedIn: number;
  readonly refused: number;
}

const refreshesPerSecond = 200;

/**
 * Refresh at a fixed rate, first alone, then while sign-ins arrive at four times the rate that the service can complete.
 * Refreshes must hardly slow down: hashes take all but one core, and sign-ins beyond the queue are refused at once.
 */
export async function measureStorm(stage: Stage, seconds: number): Promise<Storm> {
  const calls = await refresh.prepare(stage.grpc);
  const signIns = await signIn(1).prepare(stage.grpc);
  await saturate(signIns.chain, 4, 1);
  const alone = await saturate(signIns.chain, 4, seconds);
  const offered = (alone.calls / alone.seconds) * 4;
  const calm = await offer(calls.chain, 256, refreshesPerSecond, seconds);
  const [storm, flood] = await Promise.all([
    offer(calls.chain, 256, refreshesPerSecond, seconds),
    offer(signIns.chain, 4096, offered, seconds),
  ]);
  calls.close();
  signIns.close();
  return {
    offered,
    calm: latency(calm),
    storm: latency(storm),
    signedIn: flood.calls - flood.failures,
    refused: flood.failures,
  };
}

function latency({ latencies }: Load): { p50: number; p99: number } {
  return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
}
