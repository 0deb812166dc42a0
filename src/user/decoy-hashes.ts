import { createHmac, randomBytes } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { projectColumn } from '../project/project.ts';

/** The number of users by the form of their password hash: the hash with other characters for salt and tag. */
type Shares = Readonly<Record<string, number>>;

const HashShareTable = defineEntity({
  name: 'HashShare',
  tableName: 'hash_shares',
  properties: {
    projectId: () => projectColumn().primary(),
    /** The key of the draw. Not derived from a master key: replacing that must not draw again. */
    seed: p.blob().hidden(),
    shares: p.json<Shares>(),
    lookedAt: p.datetime(3),
  },
});

/** How the stored password hashes of a project are distributed, by the last look at a sample of them. */
export class HashShare extends HashShareTable.class {}
HashShareTable.setClass(HashShare);

/** Milliseconds between two looks. One replica looks, all read the result. */
export const lookInterval = 10_000;

const mostForms = 16;
const mostPages = 400;

const create = statement<object, { projectId: string; seed: Buffer; lookedAt: Date }>(
  'hash_shares_create',
  `insert into hash_shares (project_id, seed, shares, looked_at) values (:projectId, :seed, '{}', :lookedAt)
   on conflict (project_id) do nothing`,
);

/** SQL: the salt and the tag in a stored hash. bcrypt writes them without a separator. */
const tailOf = (hash: string) =>
  `case when ${hash} ~ '^imported:\\$2' then substring(${hash} from '[^$]*$') else substring(${hash} from '[^$]*\\$[^$]*$') end`;

/**
 * SQL: the form of a stored hash, which can be read as a hash. The fillers decode to zeros, since decoders refuse other
 * bits behind the last byte. A pepper is left out; it does not change how long a hash takes.
 */
const formOf = (hash: string) =>
  `regexp_replace(left(${hash}, -length(${tailOf(hash)})), ',keyid=[^$]*', '')
     || regexp_replace(${tailOf(hash)}, '[^$=]', case when ${hash} ~ '^imported:\\$2' then '.' else 'A' end, 'g')`;

// It reads a bounded number of pages, always the same ones while the table does not grow: another sample would draw another
// form for some addresses.
const look = statement<object, { projectId: string; dueBefore: Date; now: Date; pages: number; forms: number }>(
  'hash_shares_look',
  `with due as (
     select s.project_id from hash_shares s where s.project_id = :projectId and s.looked_at <= :dueBefore
     for no key update of s skip locked
   ), sampled as (
     select ${formOf('u.password_hash')} as form, count(*)::int as users
     from users u tablesample system
       (least(100, 100.0 * :pages::int * current_setting('block_size')::int / greatest(pg_relation_size('users'), 1)))
       repeatable (1)
     where u.project_id = :projectId and u.password_hash is not null and exists (select 1 from due)
     group by 1 order by 2 desc, 1 limit :forms
   )
   update hash_shares s set looked_at = :now,
     shares = (select coalesce(jsonb_object_agg(form, users), '{}') from sampled where form is not null)
   from due where s.project_id = due.project_id`,
);

const read = statement<{ seed: Buffer; shares: Shares }, { projectId: string }>(
  'hash_shares_read',
  'select seed, shares from hash_shares where project_id = :projectId',
);

/**
 * The hashes that are checked for addresses without a password, so that the time of a sign-in does not reveal which
 * addresses are registered, although the hashes of users have different costs.
 *
 * The form is drawn for each address by a keyed hash, with the shares that the stored hashes have. So it is the same on
 * every replica and at each attempt. When shares change, an address moves only from a form whose share has fallen to one
 * whose share has risen, as a user does whose hash is replaced at a sign-in (weighted rendezvous hashing).
 */
export class DecoyHashes {
  readonly #autocommit: Autocommit;
  readonly #projectId: string;
  #seed: Buffer = randomBytes(32);
  #shares: readonly (readonly [form: string, users: number])[] = [];

  private constructor(autocommit: Autocommit, projectId: string) {
    this.#autocommit = autocommit;
    this.#projectId = projectId;
  }

  static async open(autocommit: Autocommit, projectId: string, now: Date): Promise<DecoyHashes> {
    const decoys = new DecoyHashes(autocommit, projectId);
    await create(autocommit, { projectId, seed: randomBytes(32), lookedAt: new Date(0) });
    await decoys.refresh(now);
    return decoys;
  }

  /** Looks at the stored hashes if no replica has done so lately, and reads the shares. */
  async refresh(now: Date, pages = mostPages): Promise<void> {
    const projectId = this.#projectId;
    const dueBefore = new Date(now.getTime() - lookInterval);
    await look(this.#autocommit, { projectId, dueBefore, now, pages, forms: mostForms });
    const [row] = await read(this.#autocommit, { projectId });
    this.#seed = row!.seed;
    this.#shares = Object.entries(row!.shares);
  }

  /** The hash to check for an address. Undefined while no user has a password. */
  drawFor(emailKey: string): string | undefined {
    const scores = this.#shares.map(([form, users]) => -Math.log(this.#uniform(form, emailKey)) / users);
    return this.#shares[scores.indexOf(Math.min(...scores))]?.[0];
  }

  /** Above 0 and below 1. */
  #uniform(form: string, emailKey: string): number {
    const mac = createHmac('sha256', this.#seed).update(`${form}\0${emailKey}`).digest();
    return (mac.readUIntBE(0, 6) + 1) / (2 ** 48 + 1);
  }
}
