import type { FlowType } from '../../support/supabase.ts';
import type { Site, Visitor } from '../../support/supabase-visitor.ts';

/** What people do with the library, in Chromium and without a browser. */
export interface Flow {
  /** Default: implicit. */
  readonly flowTypes?: readonly FlowType[];
  readonly env?: Readonly<Record<string, string>>;
  run(site: Site): Promise<void>;
}

/** Flows by what is true of them. */
export type Flows = Readonly<Record<string, Flow>>;

/** What a visitor finds behind a link that is used or has expired. */
export const expiredLink = {
  error: 'access_denied',
  error_code: 'otp_expired',
  error_description: 'Email link is invalid or has expired',
};

export async function isSignedIn(visitor: Visitor): Promise<boolean> {
  return (await visitor.call('getSession')).session !== null;
}
