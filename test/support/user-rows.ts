import { readSources } from './source.ts';

/**
 * The tables whose rows are a user's, and the columns that hold the user's id.
 *
 * A referral is a row of both users. Accounts, invitations and invite codes are rows of an account or a project, the audit
 * trail is the project's, rate_limits, durable_rate_limits and mail_outbox are queues and counters of the installation, and `operators` is a
 * table of its own so that a look-up reads no row of a second user.
 */
const userTables: Readonly<Record<string, readonly string[]>> = {
  users: ['id'],
  sessions: ['user_id'],
  api_keys: ['user_id'],
  one_time_tokens: ['user_id'],
  identities: ['user_id'],
  memberships: ['user_id'],
  factors: ['user_id'],
  recovery_codes: ['user_id'],
  challenges: ['user_id'],
  trusted_devices: ['user_id'],
  webauthn_credentials: ['user_id'],
  usage_counters: ['subject'],
  referral_codes: ['user_id'],
  referrals: ['referred_id', 'referrer_id'],
};

/** Every prepared statement of the service, with its name and its text. */
export async function preparedStatements(): Promise<(readonly [name: string, text: string])[]> {
  const files = readSources('src/**/*.ts').filter(({ text }) => /\b(statement|ownRead|ownPage|namedRead)</.test(text));
  for (const { path } of files) await import(/* @vite-ignore */ `/${path}`);
  const { definedStatements } = await import('../../src/database/statement.ts');
  // Test files that ran before in the same process have defined statements too.
  const own = [...definedStatements].filter(([, name]) => !name.startsWith('test_'));
  return own.map(([text, name]) => [name, text] as const);
}

/** The tables of user rows that a statement reads or changes without comparing the user's column with a parameter. */
export function tablesWithoutUser(sql: string): string[] {
  const scopes = scopesOf(normalized(sql));
  const arrays = namesOfArrays(scopes);
  const missed = scopes.flatMap((scope) =>
    referencesIn(scope).filter((reference) => !namesUser(scope, reference, arrays)),
  );
  return [...new Set(missed.map(({ table }) => table))].sort();
}

/** One spelling for what is a parameter: `$1`, also as an array for `any`, and as the subject of a usage counter. */
function normalized(sql: string): string {
  return sql
    .toLowerCase()
    .replace(/'[^']*'/g, "''")
    .replace(/\s+/g, ' ')
    .replace(/\('' \|\| (\$\d+|\w+\.user_id)::uuid\)/g, '$1')
    .replace(/\(select (\$\d+)::uuid\[\]\)/g, '$1')
    .replace(/any\((\$\d+)::uuid\[\]\)/g, '$1');
}

/** The queries of a statement, each without those in its parentheses. A query in parentheses is `(#)` in the outer one. */
function scopesOf(sql: string): string[] {
  const done: string[] = [];
  const open = [''];
  for (const character of sql) {
    if (character === ')') done.push(open.pop()!);
    open[open.length - 1] += character === '(' ? '(#' : character;
    if (character === '(') open.push('');
  }
  return [...done, ...open].flatMap((each) => each.split(/ (?:union(?: all)?|except) /));
}

interface Reference {
  readonly table: string;
  /** What the query calls the table. */
  readonly name: string | undefined;
}

const keywords = 'set|where|on|join|left|right|inner|cross|order|group|limit|for|using|returning|as|from';
const reference = new RegExp(
  `(?:\\b(?:from|join|update|using)|,) "?(${Object.keys(userTables).join('|')})\\b"?(?!\\.)(?: (?:as )?(?!(?:${keywords})\\b)(\\w+))?`,
  'g',
);

function referencesIn(scope: string): Reference[] {
  return [...scope.matchAll(reference)].map(([, table, name]) => ({ table: table!, name }));
}

/** What a statement calls its unnested parameters. Those of the query `presented` are nothing else. */
function namesOfArrays(scopes: readonly string[]): string[] {
  const names = scopes.flatMap((each) => [...each.matchAll(/\b(?:unnest\(#\)|presented) (?:as )?(\w+)/g)]);
  return names.map(([, name]) => name!);
}

function namesUser(scope: string, { table, name }: Reference, arrays: readonly string[]): boolean {
  const conditions = scope.slice(scope.search(/ (?:where|on) /));
  // Under an `or` the comparison need not hold.
  if (/ or /.test(conditions)) return false;
  const prefix = name ? `${name}\\.` : `(?:${table}\\.)?`;
  const user = ['\\$\\d+', ...arrays.map((each) => `${each}\\.user_id`)].join('|');
  return userTables[table]!.some((column) =>
    new RegExp(`(?<![\\w.])${prefix}${column} = (?:${user})(?![\\w.])`).test(conditions),
  );
}
