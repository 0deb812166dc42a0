import type { Belongings } from '../../admin/import-belongings.ts';
import { counted } from '../../text/counted.ts';
import type { Identity } from '../../user/identity.ts';
import { type LeftKind, leftKinds } from './left.ts';

/** What was left out, by its kind. */
export class LeftCounts {
  readonly #counts = new Map<LeftKind, number>();

  add(kind: LeftKind): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  /** Undefined if nothing was left out. */
  get text(): string | undefined {
    const parts = [...this.#counts].map(([kind, count]) => counted(count, kind, leftKinds[kind].many));
    return parts.join(', ') || undefined;
  }
}

const nouns = {
  identities: ['identity', 'identities'],
  totp: ['TOTP factor', 'TOTP factors'],
  webauthn: ['security key', 'security keys'],
  passkey: ['passkey', 'passkeys'],
  codes: ['recovery code', 'recovery codes'],
} as const;

type Noun = keyof typeof nouns;

function countedNoun(count: number, noun: Noun): string {
  const [one, many] = nouns[noun];
  return counted(count, one, many);
}

/** What was imported with the users. */
export class BelongingCounts {
  readonly #counts: Record<Noun, number> = { identities: 0, totp: 0, webauthn: 0, passkey: 0, codes: 0 };
  readonly #identitiesBy = new Map<string, number>();

  add({ identities, factors, codes }: Belongings): void {
    this.#counts.identities += identities.length;
    this.#counts.codes += codes.length;
    for (const { type } of factors) if (type !== 'recovery_code') this.#counts[type]++;
    for (const { provider } of identities) this.#count(provider, 1);
  }

  /** Takes identities back that were not linked. */
  remove(identities: readonly Identity[]): void {
    this.#counts.identities -= identities.length;
    for (const { provider } of identities) this.#count(provider, -1);
  }

  #count(provider: string, by: number): void {
    this.#identitiesBy.set(provider, (this.#identitiesBy.get(provider) ?? 0) + by);
  }

  /** Undefined if the users had nothing. */
  get text(): string | undefined {
    const parts = (Object.keys(nouns) as Noun[])
      .filter((noun) => this.#counts[noun] > 0)
      .map((noun) => countedNoun(this.#counts[noun], noun));
    return parts.join(', ') || undefined;
  }

  /** The providers of identities that are none of these, with the number of their identities. */
  textWithout(configured: readonly string[]): string | undefined {
    const missing = [...this.#identitiesBy].filter(([name, count]) => count > 0 && !configured.includes(name));
    return missing.map(([name, count]) => `${name} (${countedNoun(count, 'identities')})`).join(', ') || undefined;
  }
}
