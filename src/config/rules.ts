import { BlockList, isIPv6 } from 'node:net';
import { mailRules, mailRulesOfProduction } from './mail-rules.ts';
import type { Complaint, Rule } from './rule.ts';
import type { Values } from './schema.ts';
import { tlsRules } from './tls-rules.ts';

const rules: readonly Rule[] = [
  ({ GRPC_PORT, HTTP_PORT }) =>
    HTTP_PORT !== 0 &&
    HTTP_PORT === GRPC_PORT && {
      variable: 'HTTP_PORT',
      why: 'the same as GRPC_PORT',
      allowed: 'another port, or 0',
      example: 'HTTP_PORT=0',
    },

  ({ GRPC_PORT, HTTP_PORT, ADMIN_PORT }) =>
    ADMIN_PORT !== undefined &&
    ADMIN_PORT !== 0 &&
    (ADMIN_PORT === GRPC_PORT || ADMIN_PORT === HTTP_PORT) && {
      variable: 'ADMIN_PORT',
      why: `the same as ${ADMIN_PORT === GRPC_PORT ? 'GRPC_PORT' : 'HTTP_PORT'}`,
      allowed: 'another port, 0 or off',
      example: 'ADMIN_PORT=0',
    },

  ({ MASTER_KEYS = [], PASSWORD_PEPPER = [] }) =>
    MASTER_KEYS.some(({ key }) => PASSWORD_PEPPER.some((pepper) => pepper.key.equals(key))) && {
      variable: 'PASSWORD_PEPPER',
      why: 'the same secret for two purposes: it is also a master key',
      allowed: 'a key of its own',
    },

  ({ NODE_ENV, DEV_EXPOSE, BIND_ADDRESS }) =>
    NODE_ENV !== 'production' &&
    DEV_EXPOSE === false &&
    BIND_ADDRESS !== undefined &&
    !isLoopback(BIND_ADDRESS) && {
      variable: 'BIND_ADDRESS',
      why: 'other machines could reach a service with development rules',
      allowed: 'a loopback address outside production, or any together with DEV_EXPOSE=yes',
    },

  ({ WORKERS = 1, DATABASE_POOL_SIZE }) =>
    WORKERS > 1 &&
    DATABASE_POOL_SIZE !== undefined &&
    DATABASE_POOL_SIZE < 2 * WORKERS && {
      variable: 'DATABASE_POOL_SIZE',
      why: 'less than two connections for each of WORKERS',
      allowed: `at least ${2 * WORKERS} with WORKERS=${WORKERS}`,
      example: `DATABASE_POOL_SIZE=${5 * WORKERS}`,
    },

  ...tlsRules,
  ...mailRules,
];

const productionRules: readonly Rule[] = [
  ({ MASTER_KEYS }) =>
    !MASTER_KEYS && { variable: 'MASTER_KEYS', why: 'required in production', allowed: 'one or more keys, kept safe' },

  ({ PUBLIC_URL }) =>
    !PUBLIC_URL?.startsWith('https:') && {
      variable: 'PUBLIC_URL',
      why: PUBLIC_URL ? 'not https' : 'required in production',
      allowed: 'an absolute https URL without path, query, fragment or user',
    },

  ({ SITE_URL }) =>
    SITE_URL !== undefined &&
    !SITE_URL.startsWith('https:') && {
      variable: 'SITE_URL',
      why: 'not https, and tokens are sent there',
      allowed: 'an absolute https URL, in production',
    },

  ({ DEV_EXPOSE }) =>
    DEV_EXPOSE && {
      variable: 'DEV_EXPOSE',
      why: 'a shortcut for development',
      allowed: 'no, in production; BIND_ADDRESS says where to listen',
      example: 'DEV_EXPOSE=no',
    },

  ({ CLOCK_OFFSET }) =>
    CLOCK_OFFSET !== undefined &&
    CLOCK_OFFSET !== 0 && {
      variable: 'CLOCK_OFFSET',
      why: 'a shortcut for tests',
      allowed: '0, in production',
      example: 'CLOCK_OFFSET=0',
    },

  ({ PASSWORD_HASH_COST: cost }) =>
    cost !== undefined &&
    cost.memoryCost < leastMemory(cost.timeCost) && {
      variable: 'PASSWORD_HASH_COST',
      why: 'cheaper to guess than the OWASP minimum',
      allowed: 'in production at least m=47104,t=1,p=1 or m=19456,t=2,p=1 or m=12288,t=3,p=1',
    },

  ...mailRulesOfProduction,
];

/** The complaints of all rules. */
export function findComplaints(values: Partial<Values>): Complaint[] {
  const applied = values.NODE_ENV === 'production' ? [...rules, ...productionRules] : rules;
  return applied.map((rule) => rule(values)).filter((complaint) => complaint !== undefined && complaint !== false);
}

/** The minimum in KiB by the number of passes: ASVS 5.0, appendix C, and OWASP's Password Storage Cheat Sheet. */
function leastMemory(passes: number): number {
  if (passes === 1) return 47_104;
  return passes === 2 ? 19_456 : 12_288;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

function isLoopback(address: string): boolean {
  return loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
