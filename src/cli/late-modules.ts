import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Packages that the service imports only when a call needs them. */
const packages = ['@bufbuild/protovalidate', '@simplewebauthn/server', '@zxcvbn-ts/language-common'];

/** Throws at the start when a package is missing that would be missed later, by a call. */
export function requireLateModules(): void {
  for (const name of packages) {
    if (!isInstalled(name)) throw new Error(`the package ${name} is missing: run npm ci`);
  }
}

function isInstalled(name: string): boolean {
  try {
    return existsSync(fileURLToPath(import.meta.resolve(name)));
  } catch {
    return false;
  }
}
