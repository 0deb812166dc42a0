import type { Left } from './system.ts';
import { objectsOf, textOf } from './values.ts';

type JsonMap = Readonly<Record<string, unknown>>;

/** What the credentials of an identity become. */
export interface KratosParts {
  passwordHash: string | undefined;
  readonly identities: Record<string, unknown>[];
  readonly totp: Record<string, unknown>[];
  readonly securityKeys: Record<string, unknown>[];
  readonly passkeys: Record<string, unknown>[];
  readonly recoveryCodes: string[];
  readonly left: Left[];
}

export function emptyParts(): KratosParts {
  return {
    ...{
      passwordHash: undefined,
      identities: [],
      totp: [],
      securityKeys: [],
      passkeys: [],
      recoveryCodes: [],
      left: [],
    },
  };
}

/** The secret of a TOTP URL, or why codes of it are none of ours. */
export function totpOf(url: string | undefined): string | { readonly why: string } {
  if (!url || !URL.canParse(url)) return { why: 'without a URL' };
  const { searchParams } = new URL(url);
  const isOurs = (name: string, value: string) => (searchParams.get(name) ?? value).toUpperCase() === value;
  if (!isOurs('algorithm', 'SHA1') || !isOurs('digits', '6') || !isOurs('period', '30'))
    return { why: 'of another algorithm, period or length than authenticator apps share' };
  return searchParams.get('secret') ?? { why: 'without a secret' };
}

/** The lookup secrets that were not used. */
export function lookupCodes({ recovery_codes: codes }: JsonMap): string[] {
  const unused = objectsOf(codes).filter(({ used_at: used }) => !textOf(used) || textOf(used)?.startsWith('0001-'));
  return unused.flatMap(({ code }) => textOf(code) ?? []);
}
