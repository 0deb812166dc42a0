import { readFileSync } from 'node:fs';
import path from 'node:path/posix';
import { describe, expect, test } from 'vitest';
import { functionsOf, readSources, type Source } from '../support/source.ts';

const sources = readSources('src/**/*.ts');
// Without the SDK, which is a client.
const served = sources.filter((each) => !each.path.startsWith('src/sdk/'));
const byPath = new Map(sources.map((each) => [each.path, each]));

/** Each domain may import those to its right, never those to its left. */
const domains = 'admin auth device account mfa session api-key user one-time project'.split(' ');

/** Files and folders that every domain may import. Other files of these folders are about how a domain is called. */
const sharedByDomains = [
  ...['errors.ts', 'crypto', 'text', 'audit', 'mail', 'throttle', 'outbound', 'request-id'],
  ...['rpc/assurance.ts', 'rpc/context.ts', 'rpc/origin.ts', 'rpc/paging.ts', 'rpc/page-token.ts'],
  ...databaseFiles(
    'autocommit',
    'clock',
    'coalesce',
    'insert',
    'lease',
    'sqlstate',
    'statement',
    'transaction',
    'uuid',
  ),
];

/** What each file and folder outside the domains may import. A folder stands for all its files. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'main.ts': ['cli', 'config'],
  cli: [
    ...['server.ts', 'errors.ts', 'rpc/context.ts', 'config', 'crypto', 'telemetry/log.ts', 'telemetry/console.ts'],
    ...['telemetry/traces', 'workers', 'audit', 'database', 'text', ...domains],
  ],
  // Workers start and stop the server; they serve no call themselves.
  workers: ['server.ts', 'config', 'http', 'mail', 'rpc/readiness.ts', 'telemetry/log.ts', 'telemetry/metrics'],
  'server.ts': [
    ...['app.ts', 'errors.ts', 'audit', 'config', 'crypto', 'database', 'grpc', 'http', 'jobs', 'mail', 'rpc'],
    ...['telemetry', 'text', 'throttle', 'project', 'session', 'user'],
  ],
  'app.ts': [
    ...['errors.ts', 'config', 'crypto', 'database', 'mail', 'outbound', 'request-id', 'rpc', 'telemetry', 'text'],
    'throttle',
    ...domains,
  ],
  // For the type of the audit event of a refusal.
  'errors.ts': ['audit'],
  config: [
    ...['crypto/pem.ts', 'mail/template-files.ts', 'text/glob.ts'],
    ...databaseFiles('connection-url', 'connection-url-fault'),
  ],
  jobs: databaseFiles('autocommit', 'fault', 'lease', 'statement'),
  // Like the server, these two know all parts that have background work.
  'jobs/jobs.ts': [
    ...['audit', 'config', 'crypto/tls-certificates.ts', 'grpc/health.ts', 'mail', 'project', 'session', 'user'],
    ...databaseFiles('autocommit', 'clock', 'health'),
  ],
  'jobs/poll.ts': ['audit', 'mail', 'project', 'session', ...databaseFiles('autocommit', 'statement')],
  'slots.ts': [],
  crypto: [],
  text: [],
  http: ['errors.ts', 'crypto/tls-certificates.ts', 'rpc', 'text'],
  grpc: ['errors.ts', 'crypto/tls-certificates.ts', 'rpc', 'text', 'database/sqlstate.ts'],
  rpc: [
    ...['errors.ts', 'slots.ts', 'audit', 'crypto/master-keys.ts', 'text'],
    ...['throttle/address-budget.ts', 'throttle/client-network.ts', 'throttle/configured-limits.ts'],
    'throttle/wait.ts',
    ...databaseFiles('autocommit', 'clock', 'fault', 'sqlstate', 'transaction'),
  ],
  telemetry: ['errors.ts', 'rpc'],
  'telemetry/log.ts': [],
  'telemetry/console.ts': ['rpc'],
  // Connects the resources of a replica with its metrics and traces.
  'telemetry/observation.ts': [
    ...['config', 'crypto', 'audit', 'database', 'grpc/health.ts', 'jobs', 'rpc', 'throttle', 'session', 'user'],
  ],
  'telemetry/traces': ['errors.ts', 'rpc', 'database/statement.ts'],
  mail: ['project', 'crypto', 'text', ...databaseFiles('autocommit', 'clock', 'insert', 'statement', 'uuid')],
  throttle: ['project', 'crypto', 'text', 'errors.ts', ...databaseFiles('autocommit', 'sqlstate', 'statement')],
  'request-id': [
    ...['project', 'crypto', 'errors.ts', 'rpc/context.ts'],
    ...databaseFiles('autocommit', 'clock', 'statement'),
  ],
  audit: [
    ...['project', 'crypto', 'rpc/context.ts'],
    ...databaseFiles('autocommit', 'insert', 'lease', 'statement', 'transaction', 'uuid'),
  ],
  database: ['slots.ts'],
  outbound: [],
  // Imports in the other direction: it lists every entity for the ORM.
  'database/entities.ts': ['audit', 'mail', 'request-id', 'throttle', ...domains],
  // A client. No other folder may import it, and it imports nothing but the contract and the format of metadata.
  sdk: ['grpc/metadata.ts'],
};

describe('imports', () => {
  test('follow the table of the architecture', () => {
    const broken = sources.flatMap((source) =>
      source.imports
        .filter(({ target }) => target.startsWith('src/') && !mayImport(source.path, target))
        .map(({ target }) => `${source.path} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test('form no cycle, imports of types included', () => {
    expect(cycles((source) => source.imports)).toEqual([]);
  });

  test.each<[rule: string, from: (path: string) => boolean, to: RegExp]>([
    [
      'a domain puts mails into the outbox, and does not send them',
      isDomain,
      /^src\/mail\/(transport|dispatcher|mail-service)\.ts/,
    ],
    ['a domain imports no transport', isDomain, /^@grpc\/|^@connectrpc\/connect-node|^node:http/],
    ['an entity imports no generated code', isEntity, /^gen\//],
    ['generated code imports nothing of ours', (file) => file.startsWith('gen/'), /^(src|test|tools)\//],
    ['the service imports neither tests nor tools', (file) => file.startsWith('src/'), /^(test|tools|bench)\//],
    ['only tests import a test runner', (file) => file.startsWith('src/'), /^vitest|^node:test$/],
  ])('%s', (_, from, to) => {
    const all = [...sources, ...readSources('gen/**/*.ts')].filter((each) => from(each.path));
    expect(all.length).toBeGreaterThan(0);
    const broken = all.flatMap(({ path, imports }) =>
      imports.filter(({ target }) => to.test(target)).map(({ target }) => `${path} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  test('name only packages that package.json installs for production', () => {
    const { dependencies, optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    const installed = new Set([...Object.keys(dependencies), ...Object.keys(optionalDependencies)]);
    const packages = [...sources, ...readSources('gen/**/*.ts')].flatMap(({ imports }) =>
      imports.map(({ target }) => target).filter((target) => !/^(src|gen|node:|package\.json)/.test(target)),
    );
    const names = new Set(packages.map((each) => /^(@[^/]+\/)?[^/]+/.exec(each)![0]));
    expect([...names].filter((each) => !installed.has(each))).toEqual([]);
  });

  test('of protos are other protos of the contract, or of Google and buf', () => {
    const protos = readSources('proto/**/*.proto').flatMap(({ text }) =>
      [...text.matchAll(/^import "([^"]+)"/gm)].map((each) => each[1]!),
    );
    expect(protos.length).toBeGreaterThan(5);
    expect(protos.filter((each) => !/^(gatehouse\/v1|google\/protobuf|buf\/validate)\//.test(each))).toEqual([]);
  });
});

describe('only the named files', () => {
  test.each<[what: string, pattern: RegExp, files: readonly string[]]>([
    ['read the environment', /process\.env/, ['config/config.ts']],
    [
      'read the clock; for all others time is an argument',
      /new Date\(\)|Date\.now\(/,
      ['database/clock.ts', 'grpc/adapter.ts', 'http/pages/ceremony.ts', 'main.ts'],
    ],
    [
      'begin and commit; migrations run in their own transaction',
      /\.(begin|commit|rollback|transactional)\(/,
      ['database/transaction.ts'],
    ],
    // The key ring flushes within the closure: the active key must be retired before the next one becomes active.
    ['flush', /\bem\.flush\(/, ['database/transaction.ts', 'session/key-ring.ts']],
    [
      'name a status code: the table, its reader, and reflection, whose responses contain some',
      /\bCode\.[A-Z]/,
      ['errors.ts', 'grpc/reflection.ts', 'rpc/connect-error.ts'],
    ],
    ['create errors for the wire', /new ConnectError\(/, ['rpc/connect-error.ts']],
    // V8 gives each object of such a literal a hidden class in the old generation, which keeps all that the getter refers to.
    ['have a getter in a literal', /^ {4,}get \w+\(\)/m, []],
    [
      'print',
      /console[.[]|process\.std(out|err)/,
      ['cli/serve.ts', 'cli/terminal.ts', 'main.ts', 'telemetry/console.ts'],
    ],
    ['write SQL with values in its text', /(execute|raw)\(\s*`[^`]*\$\{/, []],
    [
      // The migration copies between partitions of one table.
      'leave the columns of a statement unnamed: a column of the next version would break it',
      /\b(select|returning) (\*|\w+\.\*|from\b)|, \w+\.\*|insert into "?\w+"? select\b/,
      ['database/migrations/Migration20261121160000_audit_trail.ts'],
    ],
  ])('%s', (_, pattern, files) => {
    const found = served.filter(({ text }) => pattern.test(text)).map((each) => each.path.slice('src/'.length));
    expect(found).toEqual(files);
  });
});

describe('a shared rule is spelled in SQL only in the files named', () => {
  // The other files use the fragment with the rule's name.
  test.each<[rule: string, pattern: RegExp, files: readonly string[]]>([
    ['isLive: a session has not expired', /idle_expires_at (>|<)/, ['session/session.ts']],
    // one-time/ is below user/ and cannot import from it.
    ['mayActAt: a user is not banned', /banned_until (is null|<|>)/, ['one-time/token.ts', 'user/user.ts']],
    [
      'currentEpoch: the epoch that a session or an API key is compared with',
      /select session_epoch/,
      ['project/project.ts'],
    ],
    // The outbox asks for the value behind a mail: mail/ is below one-time/ and cannot import from it.
    [
      'isPending: a one-time value is not used and not void',
      /voided_at is null/,
      ['mail/claim.ts', 'one-time/token.ts'],
    ],
  ])('%s', (_, pattern, files) => {
    const found = served.filter(({ text }) => pattern.test(text)).map((each) => each.path.slice('src/'.length));
    expect(found).toEqual(files);
  });
});

describe('names and sizes', () => {
  test('files are kebab-case, migrations named by their tool', () => {
    const odd = sources
      .filter((each) => !/^src(\/[a-z0-9]+(-[a-z0-9]+)*)+\.ts$/.test(each.path))
      .map((each) => each.path);
    expect(odd.filter((each) => !/^src\/database\/migrations\/Migration\d{14}_[a-z_]+\.ts$/.test(each))).toEqual([]);
  });

  test('no folder is a drawer, and no index re-exports', () => {
    const drawers = /\/(utils?|helpers?|common|types?|dto|repositor(y|ies)|misc|shared|lib)(\/|\.ts$)/;
    expect(sources.map((each) => each.path).filter((each) => drawers.test(each))).toEqual([]);
    const indexes = sources.filter((each) => path.basename(each.path) === 'index.ts');
    expect(indexes.filter((each) => /^export .* from /m.test(each.text)).map((each) => each.path)).toEqual([]);
    expect(indexes.map((each) => each.path)).toEqual(['src/database/migrations/index.ts']);
  });

  test('no file has more than 300 lines, and 90 % of them have at most 150', () => {
    const mine = [...sources, ...readSources('{test,tools}/**/*.ts')];
    const lengthOf = ({ text }: Source) => text.split('\n').length - 1;
    expect(mine.filter((each) => lengthOf(each) > 300).map((each) => `${each.path}: ${lengthOf(each)}`)).toEqual([]);
    const long = sources.filter((each) => lengthOf(each) > 150);
    expect(long.length / sources.length).toBeLessThan(0.1);
  });

  test('no function has more than 50 lines, without the functions inside it', () => {
    const all = sources.flatMap((source) => functionsOf(source).map((each) => ({ ...each, path: source.path })));
    expect(all.length).toBeGreaterThan(250);
    const long = all.filter((each) => each.length > 50);
    expect(long.map((each) => `${each.path}:${each.line} ${each.length}`)).toEqual([]);
  });
});

describe('the serializable run', () => {
  test('has every test that races calls', () => {
    const racing = readSources('test/**/*.test.ts').filter(({ imports }) =>
      imports.some(({ target }) => target === 'test/support/race.ts'),
    );
    expect(racing.length).toBeGreaterThan(20);
    const isMarked = (file: string) => readFileSync(file, 'utf8').startsWith('// @serializable\n');
    expect(racing.map((each) => each.path).filter((file) => !isMarked(file))).toEqual([]);
  });
});

function databaseFiles(...names: string[]): string[] {
  return names.map((each) => `database/${each}.ts`);
}

function isDomain(file: string): boolean {
  return domains.includes(file.split('/')[1]!);
}

function isEntity(file: string): boolean {
  return /\bdefineEntity\(/.test(byPath.get(file)?.text ?? '');
}

function mayImport(from: string, to: string): boolean {
  if (folderOf(from) === folderOf(to)) return true;
  const rank = domains.indexOf(folderOf(from));
  const list = rank >= 0 ? [...domains.slice(rank + 1), ...sharedByDomains] : mostSpecific(from.slice('src/'.length));
  return list?.some((each) => to === `src/${each}` || to.startsWith(`src/${each}/`)) ?? false;
}

/** The entry of `allowed` for the file, for the innermost folder that has one, or for the folder right below src/. */
function mostSpecific(file: string): readonly string[] | undefined {
  return allowed[file] ?? (file.includes('/') ? mostSpecific(path.dirname(file)) : undefined);
}

// The folder right below src/, or the file there.
const folderOf = (file: string): string => file.split('/')[1]!;

function cycles(next: (source: Source) => readonly { target: string }[]): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) found.push([...trail.slice(trail.indexOf(file)), file].join(' -> '));
    const source = byPath.get(file);
    if (!source || trail.includes(file) || done.has(file)) return;
    for (const { target } of next(source)) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const { path } of sources) visit(path, []);
  return found;
}
