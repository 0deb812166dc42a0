import { hash } from 'node:crypto';
import type { MikroORM } from '@mikro-orm/postgresql';
import { Autocommit } from '../database/autocommit.ts';
import { anyOf, statement } from '../database/statement.ts';
import type { User } from '../user/user.ts';
import type { Belongings } from './import-belongings.ts';

/** A user of a valid line. */
export interface ImportedUser extends Belongings {
  readonly user: User;
  /** Whether the line contains the id. Otherwise the id is new. */
  readonly hasOwnId: boolean;
}

/** An imported user who was not created, and why. */
export interface RefusedUser {
  readonly user: User;
  readonly why: string;
}

/** The ids and addresses of the lines so far, each with a digest of its line. */
export class EarlierLines {
  readonly #digests = new Map<string, string>();

  /**
   * Adds a line. Returns why it is refused when an earlier line has its id or its address, or 'repeated' when the earlier
   * line is the same: then nothing is lost.
   */
  add({ user, hasOwnId }: ImportedUser, line: string): 'repeated' | { readonly why: string } | undefined {
    const digest = hash('sha256', line.trim(), 'base64url');
    const earlier = { id: hasOwnId ? this.#digests.get(user.id) : undefined, email: this.#digests.get(user.emailKey!) };
    if (earlier.email === digest) return 'repeated';
    for (const field of ['id', 'email'] as const)
      if (earlier[field]) return { why: `${field}: an earlier line has it` };
    if (hasOwnId) this.#digests.set(user.id, digest);
    this.#digests.set(user.emailKey!, digest);
    return undefined;
  }
}

interface Holder {
  readonly id: string;
  /** Null for guests and deleted users. */
  readonly email: string | null;
  readonly email_key: string | null;
}

interface Wanted {
  readonly projectId: string;
  readonly ids: readonly string[];
  readonly keys: readonly string[];
}

const holdersOf = statement<Holder, Wanted>(
  'users_import_holders',
  `select id, email, email_key from users where id = ${anyOf(':ids')}
   union
   select id, email, email_key from users
   where project_id = :projectId and email_key = any((select :keys::text[])::text[])`,
);

/**
 * Of imported users who were not created, because their id or address is taken: those who are not the user who has it. The
 * others were imported before.
 */
export async function refuseStrangers(orm: MikroORM, imported: readonly ImportedUser[]): Promise<RefusedUser[]> {
  const [first] = imported;
  if (!first) return [];
  const users = imported.map(({ user }) => user);
  const wanted = { projectId: first.user.projectId, ids: users.map(({ id }) => id), keys: users.map(keyOf) };
  const holders = await holdersOf(new Autocommit(orm), wanted);
  return imported.flatMap((each) => {
    const why = differenceOf(each, holders);
    return why ? [{ user: each.user, why }] : [];
  });
}

function differenceOf({ user, hasOwnId }: ImportedUser, holders: readonly Holder[]): string | undefined {
  const ofAddress = holders.find(({ email_key: key }) => key === user.emailKey);
  const ofId = holders.find(({ id }) => id === user.id);
  if (ofAddress && hasOwnId && ofAddress !== ofId) return 'email: a user with another id has it';
  if (ofAddress) return ofAddress.email === user.email ? undefined : 'email: a user has it in another spelling';
  if (ofId) return `id: ${ofId.email ? 'a user with another address' : 'a deleted user or a guest'} has it`;
  // Race: its holder was deleted after the insert.
  return 'the user who had its id or address was deleted meanwhile: import the line again';
}

function keyOf(user: User): string {
  return user.emailKey!;
}
