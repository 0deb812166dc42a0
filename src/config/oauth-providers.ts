import { z } from 'zod';
import { findKeyFault } from '../crypto/pem.ts';

/** The providers whose names stand for settings of their own. Every other name is that of an OpenID provider. */
export const knownProviders = ['google', 'github', 'microsoft', 'gitlab', 'bitbucket', 'discord', 'apple'] as const;

/** They do not speak OpenID Connect. */
const withoutIssuer: readonly string[] = ['github', 'bitbucket', 'discord'];

const words = (longest: number) =>
  z
    .string('is no text')
    .min(1, 'is empty')
    .max(longest, `has more than ${longest} characters`)
    .regex(/^[!-~]+$/, 'has spaces or characters outside ASCII');

const url = z
  .string('is no text')
  .regex(/^https?:\/\/[^\s?#\\@]+$/, {
    error: 'is not an http or https URL without user, query and fragment',
    abort: true,
  })
  .refine(URL.canParse, 'is not a URL');

const key = z.string('is no text').superRefine((pem, context) => {
  const fault = findKeyFault(pem);
  if (fault) context.addIssue(fault);
});

const endpoints = z.strictObject(
  { authorization: url, token: url, user: url, emails: url.optional() },
  'is not an object with authorization, token, user and emails',
);

const tenant = /^(common|organizations|consumers|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

const provider = z.strictObject(
  {
    client_id: words(512),
    other_client_ids: z.array(words(512), 'is no list').max(20, 'has more than 20 entries').default([]),
    client_secret: words(4096).optional(),
    label: z.string('is no text').min(1, 'is empty').max(40, 'has more than 40 characters').optional(),
    issuer: url.optional(),
    scopes: z.array(words(128), 'is no list').max(30, 'has more than 30 entries').optional(),
    trusts_email: z.boolean('is neither true nor false').default(true),
    endpoints: endpoints.optional(),
    tenant: z.string('is no text').regex(tenant, 'is no tenant').optional(),
    allowed_tenants: z.array(z.string('is no text').regex(tenant, 'has no tenant id'), 'is no list').optional(),
    team_id: words(64).optional(),
    key_id: words(64).optional(),
    private_key: key.optional(),
  },
  'is not an object',
);

type Read = z.output<typeof provider>;

/** A provider, as src/auth/oauth/ needs it. */
export type OAuthProvider = ReturnType<typeof arrange>;

function arrange(name: string, read: Read) {
  const { client_id: clientId, other_client_ids: others, client_secret: clientSecret, label, issuer, scopes } = read;
  const { trusts_email: trustsEmail, endpoints, tenant, allowed_tenants: allowedTenants } = read;
  const { team_id: teamId, key_id: keyId, private_key: privateKey } = read;
  const signer = teamId && keyId && privateKey ? { teamId, keyId, privateKey } : undefined;
  const clientIds = [clientId, ...others];
  return {
    ...{ name, clientId, clientIds, clientSecret, signer, label, issuer, scopes, trustsEmail, endpoints },
    ...{ tenant, allowedTenants },
  };
}

/** What is wrong with a provider whose fields are valid each on its own. */
function findMisfits(name: string, read: Read): string[] {
  const only = (field: keyof Read, owner: string) =>
    read[field] !== undefined && name !== owner ? [`${field}: only ${owner} has it`] : [];
  const apple = ['team_id', 'key_id', 'private_key'] as const;
  const signing = apple.filter((each) => read[each] !== undefined);
  const isKnown = knownProviders.some((each) => each === name);
  return [
    ...apple.flatMap((each) => only(each, 'apple')),
    ...only('tenant', 'microsoft'),
    ...only('allowed_tenants', 'microsoft'),
    ...(!isKnown && !read.issuer ? ['issuer: is missing'] : []),
    ...(read.issuer && withoutIssuer.includes(name) ? ['issuer: this provider has none, set endpoints instead'] : []),
    ...(read.endpoints && !withoutIssuer.includes(name) ? ['endpoints: they follow from the issuer'] : []),
    ...(name === 'apple' && signing.length > 0 && signing.length < 3
      ? ['team_id, key_id and private_key: only together']
      : []),
    ...(signing.length > 0 && read.client_secret ? ['client_secret: follows from private_key'] : []),
    ...(!read.client_secret && signing.length === 0 && isKnown
      ? [`client_secret: is missing${name === 'apple' ? ', or team_id, key_id and private_key' : ''}`]
      : []),
  ];
}

const name = /^[a-z][a-z0-9_-]{0,31}$/;

function readProviders(text: string, context: z.RefinementCtx): OAuthProvider[] {
  const json = parseObject(text);
  if (!json) {
    context.addIssue('not a JSON object');
    return [];
  }
  return Object.entries(json).flatMap(([each, value], index) => {
    if (!name.test(each)) {
      context.addIssue(`the name of provider ${index + 1} is not 1 to 32 of a-z, 0-9, _ and -, a letter first`);
      return [];
    }
    const read = provider.safeParse(value);
    const faults = read.success
      ? findMisfits(each, read.data)
      : read.error.issues.map((issue) => describe(issue, value));
    for (const fault of faults) context.addIssue(`${each}: ${fault}`);
    return read.success ? [arrange(each, read.data)] : [];
  });
}

/** Without values: one of them may be a secret. */
function describe({ path, message, code, ...issue }: z.core.$ZodIssue, value: unknown): string {
  const what = code === 'unrecognized_keys' ? `unknown: ${(issue as { keys: string[] }).keys.join(', ')}` : message;
  const isMissing = path.length === 1 && (value as Readonly<Record<string, unknown>>)[String(path[0])] === undefined;
  return path.length === 0 ? what : `${path.join('.')}: ${isMissing ? 'is missing' : what}`;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? { ...json } : undefined;
  } catch {
    return undefined;
  }
}

export const oauthProviders = z
  .string()
  .transform(readProviders)
  .describe(
    'a JSON object with a member for each provider, google, github, microsoft, gitlab, bitbucket, discord, apple or another name with an issuer, each with client_id and client_secret (docs/oauth-providers.md)',
  );
