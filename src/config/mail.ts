import { z } from 'zod';
import { choice, duration, onOff, pageUrl, path, wholeNumber } from './parsers.ts';
import type { Settings } from './setting.ts';

/** A mail server. `smtp-insecure` is for those on a trusted network that speak no TLS. */
const smtpUrl = z
  .string()
  .regex(/^(smtps?|smtp-insecure):\/\/[^\s/?#]+\/?$/, 'not of the form smtp://user:password@host:port')
  .refine(URL.canParse, { error: 'not a URL; are its special characters percent-encoded?', abort: true })
  .refine(isDecodable, { error: 'a % that encodes no character: write a % itself as %25', abort: true })
  .transform(readSmtpUrl)
  .refine(({ host }) => host.length > 0, 'without a host')
  .describe(
    'smtp://user:password@host:port (STARTTLS, optional on a local host only), smtps:// (TLS) or smtp-insecure:// (TLS where the server offers it), special characters percent-encoded',
  );

function isDecodable(text: string): boolean {
  try {
    return !decodeURIComponent(text).includes('\0');
  } catch {
    return false;
  }
}

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

export const mail = {
  MAIL_MODE: {
    sentence:
      'What happens to mail: smtp sends it through SMTP_URL, capture shows it at /dev/mail of ADMIN_PORT (never in production), off creates none.',
    reads: choice('smtp', 'capture', 'off'),
    otherwise: 'smtp with SMTP_URL, else capture; production must set one of the two',
    example: 'off',
  },
  SMTP_URL: {
    sentence: 'The server that mail is sent through.',
    reads: smtpUrl,
    otherwise: 'none',
    example: 'smtps://gatehouse:password@mail.example.com',
    secret: true,
  },
  MAIL_FROM: {
    sentence: 'Sender of the mail.',
    reads: sender,
    default: 'no-reply@localhost',
    example: 'Example <no-reply@example.com>',
  },
  FRONTEND_URL: {
    sentence:
      "Base URL of the application's pages for links in mail and logins of devices: /verify-email, /reject-registration, /reset-password, /magic-link and /confirm-email-change with ?token=, /invite with ?account_invite_code=, /device with ?user_code=, /cli with ?login_code= and /login with ?auth_code=.",
    reads: pageUrl,
    otherwise: "the service's own pages, under PUBLIC_URL",
    example: 'https://app.example.com',
  },
  MAIL_LOCALE: {
    sentence:
      "Language of mail and of the service's own pages for users and browsers that choose no supported language.",
    reads: choice('en', 'de'),
    default: 'en',
    example: 'de',
  },
  MAIL_TEMPLATES: {
    sentence:
      'Directory of your own mail texts, such as en/password_reset.txt. Built-in texts are used where it has none.',
    reads: path,
    otherwise: 'none',
    example: '/etc/gatehouse/mail',
  },
  MAIL_GAP: {
    sentence: 'Minimum time between two mails of one kind to one address, for kinds that anyone may request.',
    reads: duration('0s', '1h'),
    default: '60s',
    example: '2m',
  },
  MAIL_HOURLY_LIMIT: {
    sentence: 'Maximum number of mails of one kind to one address in an hour, for kinds that anyone may request.',
    reads: wholeNumber(1, 1000),
    default: '10',
    example: '5',
  },
  VERIFICATION_LIFETIME: valueLifetime('the link that verifies an address', '24h'),
  PASSWORD_RESET_LIFETIME: valueLifetime('the link that resets a password', '1h'),
  EMAIL_CHANGE_LIFETIME: valueLifetime('the link that confirms a new address', '24h'),
  MAGIC_LINK_LIFETIME: valueLifetime('the link that signs in', '10m'),
  EMAIL_VERIFICATION: {
    sentence: 'Whether new e-mail addresses are verified by mail. Always on with HIDE_REGISTRATION.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
  REQUIRE_VERIFIED_EMAIL: {
    sentence: 'Whether a sign-in is refused until the e-mail address is verified.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
  HIDE_REGISTRATION: {
    sentence:
      'Whether responses hide which addresses are registered. Register then always returns the same, the outcome is sent by mail, and a password works only after the address is verified.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
} as const satisfies Settings;

function valueLifetime<const T extends string>(what: string, usual: T) {
  return {
    sentence: `Lifetime of ${what}, from the time the mail is sent.`,
    reads: duration('1s', '30d'),
    default: usual,
    example: usual,
  };
}
