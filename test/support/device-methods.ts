import { callFingerprintMethods, fingerprintCosts } from './fingerprint-samples.ts';
import type { Run } from './methods.ts';
import type { TestService, Wire } from './start.ts';

/** Runs every method of DeviceService in an order in which each succeeds. */
export async function callDeviceMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { devices } = service.clients(wire);
  await callFingerprintMethods(service, wire, step);
  await step('CancelLogin (unknown)', () => devices.cancelLogin({ pollingSecret: `ghpc_${'A'.repeat(43)}` }));
}

/** The statements that each call may cost at most, including begin and commit of a transaction. */
export const deviceCosts: Readonly<Record<string, number>> = {
  ...fingerprintCosts,
  'CancelLogin (unknown)': 1,
};
