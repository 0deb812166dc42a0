import { z } from 'zod';
import { choice, duration, onOff, path, wholeNumber } from './parsers.ts';
import type { Settings } from './setting.ts';

/** A mail server. `smtp-insecure` is for those on a trusted network that speak no TLS. */
const smtpUrl = z
  .string()
  .regex(/^(smtps?|smtp-insecure):\/\/[^\s/?#]+\/?$/, 'not of the form smtp://user:password@host:port')
  .refine(URL.canParse, 'not a URL; are its special characters percent-encoded?')
  .transform(readSmtpUrl)
  .refine(({ host }) => host.length > 0, 'without a host')
  .describe(
    'smtp://user:password@host:port (STARTTLS, which only a local host may lack), smtps:// (TLS) or smtp-insecure:// (TLS only where it is offered), special characters percent-encoded',
  );

function readSmtpUrl(text: string) {
  // Schemes that the standard does not know are parsed by other rules.
  const { hostname, port, username, password } = new URL(text.replace(/^[^:]+/, 'http'));
  const scheme = text.slice(0, text.indexOf(':')) as 'smtp' | 'smtps' | 'smtp-insecure';
  const auth = username ? { user: decodeURIComponent(username), pass: decodeURIComponent(password) } : undefined;
  // The parser drops http's own port.
  const given = port || (/:80\/?$/.test(text) ? '80' : '');
  return { scheme, host: hostname.replace(/^\[|\]$/g, ''), port: Number(given) || undefined, auth };
}

const address = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/;

/** `Name <address>` or an address alone. */
const sender = z
  .string()
  .transform((text) => /^(?:([^<>"\p{Cc}]*?) *<([^<>]*)>|([^<>]*))$/u.exec(text) ?? [])
  .transform(([, name = '', inBrackets, alone]) => ({ name, address: inBrackets ?? alone ?? '' }))
  .refine((each) => address.test(each.address), 'neither an address nor of the form Name <address>')
  .describe('Name <address>, or an address alone; no quotes');

/** Where pages are: links begin with it. The result has no trailing slash. */
const pageUrl = z
  .string()
  .regex(/^https?:\/\/[^\s/?#\\@]+(\/[^\s?#\\]*)?$/, 'not an address without user, query and fragment')
  .refine(URL.canParse, 'not a URL')
  .transform((text) => new URL(text).href.replace(/\/+$/, ''))
  .describe('an absolute http or https URL, with a path or without; no query, fragment or user');

export const mail = {
  MAIL_MODE: {
    sentence:
      'What becomes of mail: sent over SMTP_URL, kept for /dev/mail of ADMIN_PORT (never in production), or not made at all.',
    reads: choice('smtp', 'capture', 'off'),
    otherwise: 'smtp with SMTP_URL, else capture outside production; production must say',
    example: 'off',
  },
  SMTP_URL: {
    sentence: 'The server that takes our mail.',
    reads: smtpUrl,
    otherwise: 'none',
    example: 'smtps://gatehouse:password@mail.example.com',
    secret: true,
  },
  MAIL_FROM: {
    sentence: 'The sender of our mail.',
    reads: sender,
    default: 'no-reply@localhost',
    example: 'Example <no-reply@example.com>',
  },
  FRONTEND_URL: {
    sentence:
      'The pages that links lead to: /verify-email, /reset-password, /magic-link and /confirm-email-change below it, with ?token=, and /invite with ?account_invite_code=.',
    reads: pageUrl,
    otherwise: "the service's own pages, under PUBLIC_URL",
    example: 'https://app.example.com',
  },
  MAIL_LOCALE: {
    sentence:
      'The language of mail to users who have chosen none, or one we have no texts in, and of our pages for browsers alike.',
    reads: choice('en', 'de'),
    default: 'en',
    example: 'de',
  },
  MAIL_TEMPLATES: {
    sentence: 'A folder with texts of your own, as en/password_reset.txt; those it lacks are ours.',
    reads: path,
    otherwise: 'none',
    example: '/etc/gatehouse/mail',
  },
  MAIL_GAP: {
    sentence: 'How long nobody is sent a second mail of the same kind that anyone may ask for.',
    reads: duration('0s', '1h'),
    default: '60s',
    example: '2m',
  },
  MAIL_HOURLY_LIMIT: {
    sentence: 'How many mails of one kind that anyone may ask for one address is sent in an hour.',
    reads: wholeNumber(1, 1000),
    default: '10',
    example: '5',
  },
  VERIFICATION_LIFETIME: valueLifetime('the link that verifies an address', '24h'),
  PASSWORD_RESET_LIFETIME: valueLifetime('the link that resets a password', '1h'),
  EMAIL_CHANGE_LIFETIME: valueLifetime('the link that confirms a new address', '24h'),
  MAGIC_LINK_LIFETIME: valueLifetime('the link that signs in', '10m'),
  EMAIL_VERIFICATION: {
    sentence: 'Whether addresses are verified by mail. Always with HIDE_REGISTRATION.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
  REQUIRE_VERIFIED_EMAIL: {
    sentence: 'Whether somebody whose address is not verified is refused at sign-in.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
  HIDE_REGISTRATION: {
    sentence:
      'Whether nobody is told that an address is registered: Register then always answers the same and the mail tells the rest. Nobody signs in with a password before they have proved the address.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
} as const satisfies Settings;

function valueLifetime<const T extends string>(what: string, usual: T) {
  return {
    sentence: `How long ${what} is good, from when it was sent.`,
    reads: duration('1s', '30d'),
    default: usual,
    example: usual,
  };
}
