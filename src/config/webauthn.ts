import { isIP } from 'node:net';
import { z } from 'zod';
import { areUnique, listOf } from './parsers.ts';
import type { Settings } from './setting.ts';

const domainShape = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const rpId = z
  .string()
  .max(253, 'longer than 253 characters')
  .regex(domainShape, 'not a domain: without scheme, port and path, in lower case')
  .refine((text) => isIP(text) === 0, 'an IP address, for which no browser creates a passkey')
  .describe('a domain such as example.com, or localhost');

// What the Android app sends is the hash of the certificate that signed it. It is no URL, and it is compared exactly.
export const androidShape = /^android:apk-key-hash:[\w-]{43}$/;
const webShape = /^https?:\/\/[^\s/?#\\@]+$/;

const origin = z
  .string()
  .refine(
    (text) => androidShape.test(text) || (webShape.test(text) && isCanonical(text)),
    'neither an exact https origin as browsers write it nor android:apk-key-hash: with 43 characters of base64url',
  )
  .refine(
    (text) => !text.startsWith('http:') || isLocalhost(new URL(text).hostname),
    'plain http, with which browsers have no passkeys except on localhost',
  );

export const webauthn = {
  WEBAUTHN_RP_ID: {
    sentence:
      'Domain that passkeys and security keys are registered for: that of the pages, or a parent of it. With another value they all stop working.',
    reads: rpId,
    otherwise: 'the host of FRONTEND_URL or else PUBLIC_URL',
    example: 'example.com',
  },
  WEBAUTHN_ORIGINS: {
    sentence:
      'Origins whose pages and apps may use passkeys. With several web origins, /.well-known/webauthn lists them for browsers.',
    reads: listOf(origin)
      .refine(areUnique, 'an origin stands there twice')
      .describe(
        'a comma-separated list of exact origins: https://host[:port], http://localhost[:port] or android:apk-key-hash:...',
      ),
    otherwise: 'those of FRONTEND_URL and PUBLIC_URL that are within WEBAUTHN_RP_ID',
    example: 'https://app.example.com,android:apk-key-hash:7d1043473d55bfa90e8530d35801d4e381bc69f0205',
  },
} as const satisfies Settings;

function isLocalhost(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

function isCanonical(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
