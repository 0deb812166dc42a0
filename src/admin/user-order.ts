import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { type UserRow, userColumns } from '../user/user.ts';

/** What users are listed by. Each has an index, and but for `address` one more within a role. */
export type OrderName = 'address' | 'create_time' | 'name' | 'role';

export interface UserOrder {
  readonly name: OrderName;
  readonly isDescending: boolean;
}

export interface UserFilter {
  readonly role: string | undefined;
  readonly banned: boolean | undefined;
  /** The least value of what the users are listed by, whatever the direction. */
  readonly from: string | undefined;
  /** The value that what they are listed by stays below. */
  readonly until: string | undefined;
}

export interface UserPage {
  readonly rows: readonly UserRow[];
  /** The position of the last user that was looked at; undefined at the end of the list. */
  readonly next: readonly string[] | undefined;
}

/** A column of an order, and of its index. */
interface Column {
  readonly sql: string;
  readonly type: 'text' | 'timestamptz' | 'uuid';
  /** As a position has it. */
  readonly shown?: string;
  /** What a bound from outside goes through. */
  readonly bound?: (sql: string) => string;
}

// Texts are compared by their bytes, in their indexes too, and only ASCII has lower case: what the locale of a database
// makes of letters changes with its libraries.
const created: Column = {
  sql: 'u.created_at',
  type: 'timestamptz',
  shown: `to_char(u.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
};
const id: Column = { sql: 'u.id', type: 'uuid' };
const columnsOf: Readonly<Record<OrderName, readonly Column[]>> = {
  address: [{ sql: 'u.email_key collate "C"', type: 'text' }, id],
  create_time: [created, id],
  name: [{ sql: 'lower(u.name collate "C")', type: 'text', bound: (sql) => `lower(${sql} collate "C")` }, id],
  role: [{ sql: 'u.system_role collate "C"', type: 'text' }, created, id],
};

const least = { text: '', timestamptz: '-infinity', uuid: '00000000-0000-0000-0000-000000000000' } as const;

/** Behind every text that begins with the prefix: there is no character after this one. */
export function afterPrefix(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}

interface Values {
  readonly projectId: string;
  readonly role: string | null;
  readonly banned: boolean | null;
  readonly now: Date;
  readonly from: string;
  readonly until: string;
  /** The position of the last user of the page before. */
  readonly after: readonly string[] | null;
  readonly window: number;
  readonly limit: number;
}

type Found = UserRow & { fits: boolean; isLast: boolean; position: string[] };

interface Variant extends UserOrder {
  /** The users of one role are together in an index. */
  readonly isOfRole: boolean;
  /** Those who have been banned are, by their creation. */
  readonly isOfBanned: boolean;
}

/**
 * Looks at the next `window` users of an index, and returns those that fit and the last one. So a page costs the same
 * however many users there are that do not fit.
 */
function listing({ name, isDescending, isOfRole, isOfBanned }: Variant) {
  const columns = columnsOf[name];
  const [head, ...rest] = columns as [Column, ...Column[]];
  const [past, direction] = isDescending ? ['<', 'desc'] : ['>', 'asc'];
  const bound = (parameter: string) => (head.bound ?? String)(`${parameter}::${head.type}`);
  const after = ({ type }: Column, n: number, otherwise: string) =>
    `coalesce((:after::text[])[${n}]::${type}, ${otherwise})`;
  const starts = [
    after(head, 1, bound(isDescending ? ':until' : ':from')),
    ...rest.map((each, n) => after(each, n + 2, `'${least[each.type]}'::${each.type}`)),
  ];
  const end = isDescending ? `${head.sql} >= ${bound(':from')}` : `${head.sql} < ${bound(':until')}`;
  const key = columns.map(({ sql }) => sql);
  return statement<Found, Values>(
    ['users_by', name, direction, ...(isOfRole ? ['of_role'] : []), ...(isOfBanned ? ['of_banned'] : [])].join('_'),
    `select ${userColumns}, seen.fits, seen.place = :window as "isLast", seen.position
   from (
     select walked.*, row_number() over () as place from (
       select u.id, ${fits(isOfRole)} as fits,
         array[${columns.map(({ sql, shown }) => shown ?? `(${sql})::text`).join(', ')}] as position
       from users u
       where u.project_id = :projectId and u.deleted_at is null
         ${isOfRole ? 'and u.system_role collate "C" = :role' : ''} ${isOfBanned ? 'and u.banned_until is not null' : ''}
         and (${key.join(', ')}) ${past} (${starts.join(', ')}) and ${end}
       order by ${key.map((each) => `${each} ${direction}`).join(', ')} limit :window
     ) walked
   ) seen join users u on u.id = seen.id
   where seen.fits or seen.place = :window order by seen.place limit :limit`,
  );
}

function fits(isOfRole: boolean): string {
  const isBanned = '(:banned::boolean is null or coalesce(u.banned_until > :now, false) = :banned)';
  return isOfRole ? isBanned : `${isBanned} and (:role::text is null or u.system_role = :role)`;
}

const listings = new Map(
  (Object.keys(columnsOf) as OrderName[]).flatMap((name) =>
    [false, true].flatMap((isDescending) =>
      variantsOf(name).map((variant) => {
        const whole = { ...variant, name, isDescending };
        return [nameOf(whole), listing(whole)] as const;
      }),
    ),
  ),
);

/** The indexes that an order has: all users, those of a role, those who have been banned. */
function variantsOf(name: OrderName): Omit<Variant, keyof UserOrder>[] {
  const all = { isOfRole: false, isOfBanned: false };
  if (name === 'address') return [all];
  const ofRole = { isOfRole: true, isOfBanned: false };
  return name === 'create_time' ? [all, ofRole, { isOfRole: false, isOfBanned: true }] : [all, ofRole];
}

function nameOf({ name, isDescending, isOfRole, isOfBanned }: Variant): string {
  return [name, isDescending, isOfRole, isOfBanned].join(' ');
}

// A page of a filter without an index may be short: it ends after so many users.
const mostSeen = 1000;

/** One page of users that are not deleted. */
export async function listUsers(
  on: Autocommit,
  order: UserOrder,
  filter: UserFilter,
  {
    projectId,
    after,
    limit,
    now,
  }: { projectId: string; after: readonly string[] | undefined; limit: number; now: Date },
): Promise<UserPage> {
  const { name } = order;
  const { role, banned } = filter;
  const isOfRole = role !== undefined && name !== 'address';
  const isOfBanned = banned === true && role === undefined && name === 'create_time';
  const isIndexed = banned === undefined && (role === undefined || isOfRole);
  const list = listings.get(nameOf({ ...order, isOfRole, isOfBanned }))!;
  const found = await list(on, {
    ...{ projectId, role: role ?? null, banned: banned ?? null, now, after: after ?? null },
    from: filter.from ?? least[name === 'create_time' ? 'timestamptz' : 'text'],
    until: filter.until ?? (name === 'create_time' ? 'infinity' : afterPrefix('')),
    window: isIndexed ? limit + 1 : mostSeen,
    limit: limit + 2,
  });
  const fitting = found.filter((each) => each.fits);
  const rows = fitting.slice(0, limit);
  const last = fitting.length > limit ? rows.at(-1) : found.find((each) => each.isLast);
  return { rows, next: last?.position };
}
