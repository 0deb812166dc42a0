import { readFileSync } from 'node:fs';
import { findCertificateFault, findKeyFault, findPairFault } from '../crypto/pem.ts';
import type { Complaint, Rule } from './rule.ts';

type FileSetting = 'TLS_CERT' | 'TLS_KEY' | 'TLS_CLIENT_CA';

/** Rules between the settings of TLS, and for the files they name. */
export const tlsRules: readonly Rule[] = [
  fileRule('TLS_CERT', findCertificateFault, 'the path of a PEM file with the certificate, then its intermediates'),
  fileRule('TLS_KEY', findKeyFault, 'the path of a PEM file with a private key that is not encrypted'),
  fileRule('TLS_CLIENT_CA', findCertificateFault, 'the path of a PEM file with the certificates of the authorities'),
  togetherRule('TLS_CERT', 'TLS_KEY', 'TLS_KEY has no certificate'),
  togetherRule('TLS_KEY', 'TLS_CERT', 'TLS_CERT has no key'),
  neededRule('TLS_CLIENT_CA', 'TLS_CERT'),
  neededRule('CLIENT_CERTIFICATES', 'TLS_CLIENT_CA'),
  neededRule('SERVICE_CERTIFICATES', 'TLS_CLIENT_CA'),

  ({ TLS_CERT: cert, TLS_KEY: key }) => {
    const why = cert === undefined || key === undefined ? undefined : findFaultOfPair(cert, key);
    return (
      why !== undefined && { variable: 'TLS_KEY', why, allowed: 'the path of the key that TLS_CERT was issued for' }
    );
  },
];

function fileRule(variable: FileSetting, findFault: (pem: string) => string | undefined, allowed: string): Rule {
  return ({ [variable]: file }) => {
    const why = file === undefined ? undefined : findFaultOfFile(file, findFault);
    return why !== undefined && { variable, why, allowed };
  };
}

function togetherRule(variable: FileSetting, other: FileSetting, why: string): Rule {
  return ({ [variable]: file, [other]: otherFile }) =>
    file === undefined &&
    otherFile !== undefined && { variable, why, allowed: `both ${other} and ${variable}, or neither` };
}

function neededRule(variable: Complaint['variable'], needed: FileSetting): Rule {
  return (values) =>
    values[variable] !== undefined &&
    values[needed] === undefined && {
      variable,
      why: `without ${needed} no client is asked for a certificate`,
      allowed: `nothing, or a value together with ${needed}`,
    };
}

function findFaultOfFile(file: string, findFault: (pem: string) => string | undefined): string | undefined {
  try {
    return findFault(readFileSync(file, 'utf8'));
  } catch (thrown) {
    return `cannot be read (${(thrown as NodeJS.ErrnoException).code})`;
  }
}

/** Undefined also when one of the files has a fault of its own. */
function findFaultOfPair(cert: string, key: string): string | undefined {
  if (findFaultOfFile(cert, findCertificateFault) || findFaultOfFile(key, findKeyFault)) return undefined;
  return findPairFault(readFileSync(cert, 'utf8'), readFileSync(key, 'utf8'));
}
