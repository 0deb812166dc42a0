import { readTemplates } from '../mail/template-files.ts';
import type { Rule } from './rule.ts';

export const mailRules: readonly Rule[] = [
  ({ MAIL_TEMPLATES }) => {
    const faults = MAIL_TEMPLATES ? readTemplates(MAIL_TEMPLATES).faults : [];
    const allowed = 'a directory with a directory per language, as docs/mail.md describes it';
    return faults.length > 0 && { variable: 'MAIL_TEMPLATES', why: faults.join('\n           '), allowed };
  },

  ({ MAIL_MODE, SMTP_URL }) =>
    MAIL_MODE === 'smtp' &&
    !SMTP_URL && { variable: 'SMTP_URL', why: 'MAIL_MODE is smtp', allowed: 'the URL of a mail server' },

  ({ HIDE_REGISTRATION, AUTO_CONFIRM_EMAIL }) =>
    HIDE_REGISTRATION &&
    AUTO_CONFIRM_EMAIL && {
      variable: 'AUTO_CONFIRM_EMAIL',
      why: 'with HIDE_REGISTRATION=on registering must not sign in',
      allowed: 'off, together with HIDE_REGISTRATION=on',
      example: 'AUTO_CONFIRM_EMAIL=off',
    },
];

/** Without mail users are locked out, so production must configure it explicitly. */
export const mailRulesOfProduction: readonly Rule[] = [
  ({ MAIL_MODE, SMTP_URL }) =>
    MAIL_MODE === undefined &&
    !SMTP_URL && {
      variable: 'SMTP_URL',
      why: 'required in production',
      allowed: 'the URL of a mail server, or none together with MAIL_MODE=off',
    },

  ({ MAIL_MODE }) =>
    MAIL_MODE === 'capture' && {
      variable: 'MAIL_MODE',
      why: 'a shortcut for development',
      allowed: 'smtp or off, in production',
    },

  ({ MAIL_MODE, SMTP_URL, MAIL_FROM }) =>
    (MAIL_MODE ?? (SMTP_URL && 'smtp')) === 'smtp' &&
    MAIL_FROM?.address.endsWith('@localhost') && {
      variable: 'MAIL_FROM',
      why: 'mail servers refuse mail from localhost',
      allowed: 'an address of your domain',
    },

  ({ MAIL_MODE, SMTP_URL, FRONTEND_URL }) =>
    (MAIL_MODE ?? (SMTP_URL && 'smtp')) === 'smtp' &&
    FRONTEND_URL !== undefined &&
    !FRONTEND_URL.startsWith('https:') && {
      variable: 'FRONTEND_URL',
      why: 'not https',
      allowed: 'an absolute https URL, in production',
    },
];
