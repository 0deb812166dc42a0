import { timingSafeEqual } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';
import { renderSVG } from 'uqr';
import type { MasterKeys } from '../crypto/master-keys.ts';

// What every authenticator app supports. Apps ignore other algorithms, periods and lengths without a word.
const rules = { algorithm: 'SHA1', digits: 6, period: 30 } as const;
const secretBytes = 20;
const purpose = 'totp secret';

/** The row that a secret belongs to. */
interface Owned {
  readonly id: string;
  readonly userId: string;
}

/** A new secret (RFC 4226 recommends 160 bits). */
export function newTotpSecret(): Secret {
  return new Secret({ size: secretBytes });
}

/** Encrypts a secret for its row. */
export function sealSecret(keys: MasterKeys, owner: Owned, secret: Secret): Buffer {
  return keys.seal(purpose, aboutOf(owner), Buffer.from(secret.buffer));
}

/** What an authenticator app is given. `account` names the user in the app. */
export function shownSecret(secret: Secret, { issuer, account }: { issuer: string; account: string }) {
  const uri = new TOTP({ ...rules, secret, issuer: oneLine(issuer), label: oneLine(account) }).toString();
  return { secret: secret.base32, uri, qrCode: renderSVG(uri) };
}

/**
 * The time step whose code this is, of those that were not used yet: the present one, else the one before, else the one after.
 * Undefined for a wrong code. Two neighbouring steps can have equal codes: a step that was used is no reason to refuse the code
 * of a newer one, and the code of the present step does not use up the next.
 */
export function stepOfCode(
  keys: MasterKeys,
  { secretSealed, lastStep, ...owner }: Owned & { secretSealed: Buffer; lastStep: number | null },
  code: string,
  now: Date,
): number | undefined {
  if (!/^[0-9]{6}$/.test(code)) return undefined;
  const secret = new Secret({ buffer: toArrayBuffer(keys.open(purpose, aboutOf(owner), secretSealed)) });
  const present = Math.floor(now.getTime() / 1000 / rules.period);
  const typed = Buffer.from(code);
  const steps = [present, present - 1, present + 1].filter((step) => step > (lastStep ?? -1));
  // Each step is compared, so that the time does not reveal which one matched.
  const matching = steps.filter((step) => timingSafeEqual(Buffer.from(codeAt(secret, step)), typed));
  return matching[0];
}

function codeAt(secret: Secret, step: number): string {
  return TOTP.generate({ ...rules, secret, timestamp: step * rules.period * 1000 });
}

function aboutOf({ id, userId }: Owned): string {
  return `${userId} ${id}`;
}

function toArrayBuffer(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

/** A colon separates the issuer from the account in the URI, and apps show one line. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}:]+/gu, ' ').trim();
}
