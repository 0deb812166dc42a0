import type { Words } from './words.ts';

export const english: Words = {
  verifyEmail: {
    title: 'Verify your e-mail address',
    text: (site) =>
      `Somebody has registered at ${site} with the address that this link was sent to. If it was you, verify the address. If it was not you, close this page: nothing happens then.`,
    button: 'Verify address',
    doneTitle: 'Your address is verified',
    done: 'You can close this page and go back to the application.',
  },
  confirmEmailChange: {
    title: 'Confirm your new e-mail address',
    text: (site) =>
      `A user of ${site} wants to use the address that this link was sent to from now on. If it is you, confirm it. If it is not you, close this page: nothing happens then.`,
    button: 'Confirm address',
    doneTitle: 'Your new address is confirmed',
    done: 'From now on you sign in with it. You can close this page and go back to the application.',
  },
  resetPassword: {
    title: 'Choose a new password',
    text: (site) => `It will be your password at ${site}. You will be signed out on all devices.`,
    button: 'Save password',
    doneTitle: 'Your new password is saved',
    done: 'You were signed out on all devices. You can close this page and sign in to the application with the new password.',
    account: 'E-mail address',
    newPassword: 'New password',
    hint: (minLength) => `At least ${minLength} characters. Several words make a good password.`,
  },
  weak: {
    too_short: (minLength) => `This password is too short. It needs at least ${minLength} characters.`,
    common: () => 'This password is one of those that many people use, so it is guessed first.',
    context: () => 'This password is too close to your name, to your address or to the name of the service.',
  },
  passwordMissing: 'Enter a new password.',
  passwordUnusable: 'This password cannot be used: it is too long, or has characters that cannot be typed.',
  forTheApplication: {
    magicLink: {
      title: 'This link opens in the application',
      text: 'It signs you in to an application, and this page is not part of one. Open the application and sign in there. The link was not used.',
    },
    invite: {
      title: 'Accept this invitation in the application',
      text: 'Open the application, and sign in or register with the address that was invited. The invitation was not used.',
    },
    referral: {
      title: 'This recommendation counts in the application',
      text: 'Open the application and register there. The recommendation was not used.',
    },
  },
  troubles: {
    incomplete: {
      title: 'This link is not complete',
      text: 'Part of it is missing. Open it once more from the mail, or copy all of it.',
    },
    invalid: {
      title: 'This link is not valid',
      text: 'Open it once more from the mail, or copy all of it. If that does not help, ask for a new one in the application.',
    },
    dead: {
      title: 'This link no longer works',
      text: 'It was used already, has expired, or was replaced by a newer one. If it was not you who used it, ask for a new one in the application.',
    },
    taken: {
      title: 'This address is taken',
      text: 'Another user has it by now. Your own address stays as it was.',
    },
    foreign: {
      title: 'This came from another page',
      text: 'To protect you, nothing was done. Open the link once more from the mail.',
    },
    unreadable: {
      title: 'This could not be read',
      text: 'Nothing was done. Open the link once more from the mail.',
    },
    limited: { title: 'Too many attempts', text: 'Please try again later.' },
    failed: {
      title: 'This did not work',
      text: 'Something went wrong on our side. Please try again in a moment.',
    },
  },
  wait: (seconds) => `Please wait ${seconds === 1 ? 'one second' : `${seconds} seconds`} and try again.`,
  error: 'Error',
};
