import { z } from 'zod';
import { pageUrl } from './parsers.ts';
import type { Settings } from './setting.ts';
import { styleSheet } from './style-sheet.ts';

/** It stands in the subject of mails and before their sender, where a line break would begin a header. */
const appName = z
  .string()
  .trim()
  .min(1, 'empty')
  .max(60, 'longer than 60 characters')
  .regex(/^[^\p{Cc}<>"]*$/u, 'with a control character, <, > or "')
  .describe('at most 60 characters');

const logoUrl = z
  .string()
  .regex(/^https:\/\/[^\s"'<>\\;,]+$/, 'not an https address')
  .refine(URL.canParse, 'not a URL')
  .describe('the https address of an image, which mail programs and browsers load');

const color = z
  .string()
  .regex(/^#[0-9a-fA-F]{6}$/, 'not of the form #0b57d0')
  .transform((text) => text.toLowerCase())
  .describe('a color as #rrggbb');

export const look = {
  APP_NAME: {
    sentence: 'Name of the application in mail, before the sender of mail and on the pages.',
    reads: appName,
    otherwise: 'the host of the pages',
    example: 'Example',
  },
  APP_URL: {
    sentence: "URL of the application that the service's own pages lead back to.",
    reads: pageUrl,
    otherwise: 'none: they have no link',
    example: 'https://app.example.com',
  },
  LOGO_URL: {
    sentence: 'Logo at the top of mail and of the pages, shown 32 pixels high.',
    reads: logoUrl,
    otherwise: 'none: the name',
    example: 'https://app.example.com/logo.png',
  },
  ACCENT_COLOR: {
    sentence:
      'Color of buttons in mail and on the pages. The text on them is white or black, whichever is more legible.',
    reads: color,
    default: '#0b57d0',
    example: '#7a1fa2',
  },
  PAGES_STYLESHEET: {
    sentence: 'Style sheet of your own for the pages, read at the start. It loads no images, fonts or other sheets.',
    reads: styleSheet,
    otherwise: 'none',
    example: '/etc/gatehouse/pages.css',
  },
} as const satisfies Settings;
