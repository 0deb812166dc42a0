import type { AttemptKind } from './kinds.ts';

/** The kinds of logins that create API keys. */
export type DeviceKind = Extract<AttemptKind, 'device' | 'dashboard'>;

/** What devices are called in lists, by the login that signed them in. */
export const deviceNames = {
  cli: 'CLI (Login)',
  device: 'CLI (Device Authorization)',
  dashboard: 'CLI (Dashboard Code)',
} as const satisfies Partial<Record<AttemptKind, string>>;
