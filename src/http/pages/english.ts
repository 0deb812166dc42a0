import { factorEnglish } from './factor-english.ts';
import { signInEnglish } from './sign-in-english.ts';
import type { Words } from './words.ts';

export const english: Words = {
  ...signInEnglish,
  ...factorEnglish,
  verifyEmail: {
    title: 'Verify your e-mail address',
    text: (site) =>
      `Someone registered at ${site} with the e-mail address that this link was sent to. If this was you, verify the address. If it was not, close this page. Nothing will change.`,
    button: 'Verify address',
    doneTitle: 'Your address is verified',
    done: 'You can close this page and return to the application.',
  },
  alreadyVerified: {
    title: 'Your address is already verified',
    text: 'There is nothing left to do. You can close this page and return to the application.',
  },
  rejectRegistration: {
    title: 'Remove this registration',
    text: (site) =>
      `Someone registered at ${site} with the e-mail address that this link was sent to. If this was not you, remove the registration. If it was you, close this page. Nothing will change.`,
    button: 'This was not me',
    doneTitle: 'The registration is removed',
    done: 'Nobody can sign in with it any longer. You can close this page.',
  },
  confirmEmailChange: {
    title: 'Confirm your new e-mail address',
    text: (site) =>
      `A user of ${site} asked to change their e-mail address to the one that this link was sent to. If this was you, confirm the address. If it was not, close this page. Nothing will change.`,
    button: 'Confirm address',
    doneTitle: 'Your new address is confirmed',
    done: 'Sign in with it from now on. You can close this page and return to the application.',
  },
  resetPassword: {
    title: 'Choose a new password',
    text: (site) => `This will be your password at ${site}. You will be signed out on all devices.`,
    button: 'Save password',
    doneTitle: 'Your new password is saved',
    done: 'You were signed out on all devices. You can close this page and sign in to the application with the new password.',
    account: 'E-mail address',
    newPassword: 'New password',
    hint: (minLength) => `At least ${minLength} characters. Several words make a good password.`,
  },
  weak: {
    too_short: (minLength) => `This password is too short. It needs at least ${minLength} characters.`,
    common: () => 'This password is too common: many people use it, so it is easy to guess.',
    context: () => 'This password is too similar to your name, your e-mail address or the name of the service.',
  },
  passwordMissing: 'Enter a new password.',
  passwordUnusable: 'This password cannot be used: it is too long or contains characters that cannot be typed.',
  forTheApplication: {
    magicLink: {
      title: 'This link opens in the application',
      text: 'It signs you in to an application, and this page is not part of one. Open the application and sign in there. The link has not been used.',
    },
    invite: {
      title: 'Accept this invitation in the application',
      text: 'Open the application and sign in or register with the e-mail address that was invited. The invitation has not been used.',
    },
    referral: {
      title: 'Use this referral in the application',
      text: 'Open the application and register there. The referral has not been used.',
    },
  },
  troubles: {
    incomplete: {
      title: 'This link is not complete',
      text: 'A part of it is missing. Open the link again from the mail, or copy all of it.',
    },
    invalid: {
      title: 'This link is not valid',
      text: 'Open the link again from the mail, or copy all of it. If that does not help, request a new link in the application.',
    },
    dead: {
      title: 'This link no longer works',
      text: 'It has already been used, has expired or was replaced by a newer link. If you did not use it, request a new link in the application.',
    },
    used: {
      title: 'This link no longer works',
      text: 'It has already been used. If you did not use it, request a new link in the application.',
    },
    replaced: {
      title: 'This link no longer works',
      text: 'It was replaced by a newer link. Open the link in the latest mail, or request a new one in the application.',
    },
    expired: {
      title: 'This link no longer works',
      text: 'It has expired. Request a new link in the application.',
    },
    taken: {
      title: 'This address is taken',
      text: 'It now belongs to another user. Your own address has not changed.',
    },
    verified: {
      title: 'This address is in use',
      text: 'The address has been verified or was set by the operators, so this link can no longer remove it. If you did not do this, contact the operators.',
    },
    foreign: {
      title: 'This came from another page',
      text: 'To protect you, nothing was changed. Open the link again from the mail.',
    },
    unreadable: {
      title: 'This could not be read',
      text: 'Nothing was changed. Open the link again from the mail.',
    },
    limited: { title: 'Too many attempts', text: 'Please try again later.' },
    failed: {
      title: 'This did not work',
      text: 'Something went wrong on our side. Please try again in a moment.',
    },
  },
  back: 'Back to the application',
  wait: (seconds) => `Please wait ${seconds === 1 ? 'one second' : `${seconds} seconds`} and try again.`,
  error: 'Error',
};
