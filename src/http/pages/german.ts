import { factorGerman } from './factor-german.ts';
import { signInGerman } from './sign-in-german.ts';
import type { Words } from './words.ts';

export const german: Words = {
  ...signInGerman,
  ...factorGerman,
  verifyEmail: {
    title: 'E-Mail-Adresse bestätigen',
    text: (site) =>
      `Bei ${site} hat sich jemand mit der Adresse registriert, an die dieser Link ging. Wenn Sie das waren, bestätigen Sie bitte die Adresse. Wenn nicht, schließen Sie diese Seite: Dann geschieht nichts.`,
    button: 'Adresse bestätigen',
    doneTitle: 'Ihre Adresse ist bestätigt',
    done: 'Sie können diese Seite schließen und in der Anwendung weitermachen.',
  },
  alreadyVerified: {
    title: 'Ihre Adresse ist schon bestätigt',
    text: 'Es ist nichts mehr zu tun. Sie können diese Seite schließen und in der Anwendung weitermachen.',
  },
  rejectRegistration: {
    title: 'Registrierung löschen',
    text: (site) =>
      `Bei ${site} hat sich jemand mit der Adresse registriert, an die dieser Link ging. Wenn Sie das nicht waren, löschen Sie die Registrierung. Wenn doch, schließen Sie diese Seite: Dann geschieht nichts.`,
    button: 'Das war ich nicht',
    doneTitle: 'Die Registrierung ist gelöscht',
    done: 'Niemand kann sich mehr damit anmelden. Sie können diese Seite schließen.',
  },
  confirmEmailChange: {
    title: 'Neue E-Mail-Adresse bestätigen',
    text: (site) =>
      `Jemand möchte bei ${site} künftig die Adresse verwenden, an die dieser Link ging. Wenn Sie das sind, bestätigen Sie bitte die Adresse. Wenn nicht, schließen Sie diese Seite: Dann geschieht nichts.`,
    button: 'Adresse bestätigen',
    doneTitle: 'Ihre neue Adresse ist bestätigt',
    done: 'Melden Sie sich ab jetzt mit ihr an. Sie können diese Seite schließen und in der Anwendung weitermachen.',
  },
  resetPassword: {
    title: 'Neues Passwort wählen',
    text: (site) => `Es gilt dann für ${site}. Sie werden auf allen Geräten abgemeldet.`,
    button: 'Passwort speichern',
    doneTitle: 'Ihr neues Passwort ist gespeichert',
    done: 'Sie wurden auf allen Geräten abgemeldet. Sie können diese Seite schließen und sich in der Anwendung mit dem neuen Passwort anmelden.',
    account: 'E-Mail-Adresse',
    newPassword: 'Neues Passwort',
    hint: (minLength) => `Mindestens ${minLength} Zeichen. Mehrere Wörter sind ein gutes Passwort.`,
  },
  weak: {
    too_short: (minLength) => `Dieses Passwort ist zu kurz. Es braucht mindestens ${minLength} Zeichen.`,
    common: () => 'Dieses Passwort verwenden viele, deshalb wird es als Erstes erraten.',
    context: () => 'Dieses Passwort ist Ihrem Namen, Ihrer Adresse oder dem Namen des Dienstes zu ähnlich.',
  },
  passwordMissing: 'Geben Sie ein neues Passwort ein.',
  passwordUnusable: 'Dieses Passwort ist zu lang oder enthält Zeichen, die man nicht tippen kann.',
  forTheApplication: {
    magicLink: {
      title: 'Dieser Link gehört in die Anwendung',
      text: 'Er meldet Sie bei einer Anwendung an, und diese Seite gehört zu keiner. Öffnen Sie die Anwendung und melden Sie sich dort an. Der Link wurde nicht verbraucht.',
    },
    invite: {
      title: 'Nehmen Sie die Einladung in der Anwendung an',
      text: 'Öffnen Sie die Anwendung und melden Sie sich dort mit der eingeladenen Adresse an, oder registrieren Sie sich. Die Einladung wurde nicht verbraucht.',
    },
    referral: {
      title: 'Verwenden Sie diese Empfehlung in der Anwendung',
      text: 'Öffnen Sie die Anwendung und registrieren Sie sich dort. Die Empfehlung wurde nicht verbraucht.',
    },
  },
  troubles: {
    incomplete: {
      title: 'Dieser Link ist unvollständig',
      text: 'Ein Teil fehlt. Öffnen Sie ihn noch einmal aus der Nachricht oder kopieren Sie ihn ganz.',
    },
    invalid: {
      title: 'Dieser Link ist ungültig',
      text: 'Öffnen Sie ihn noch einmal aus der Nachricht oder kopieren Sie ihn ganz. Wenn das nicht hilft, fordern Sie in der Anwendung einen neuen an.',
    },
    dead: {
      title: 'Dieser Link gilt nicht mehr',
      text: 'Er wurde schon verwendet, ist abgelaufen oder wurde durch einen neueren ersetzt. Wenn nicht Sie ihn verwendet haben, fordern Sie in der Anwendung einen neuen an.',
    },
    used: {
      title: 'Dieser Link gilt nicht mehr',
      text: 'Er wurde schon verwendet. Wenn nicht Sie ihn verwendet haben, fordern Sie in der Anwendung einen neuen an.',
    },
    replaced: {
      title: 'Dieser Link gilt nicht mehr',
      text: 'Er wurde durch einen neueren ersetzt. Öffnen Sie den Link aus der letzten Mail, oder fordern Sie in der Anwendung einen neuen an.',
    },
    expired: {
      title: 'Dieser Link gilt nicht mehr',
      text: 'Er ist abgelaufen. Fordern Sie in der Anwendung einen neuen an.',
    },
    taken: {
      title: 'Diese Adresse ist vergeben',
      text: 'Sie gehört inzwischen zu einem anderen Konto. Ihre bisherige Adresse bleibt, wie sie ist.',
    },
    verified: {
      title: 'Diese Adresse ist in Gebrauch',
      text: 'Sie wurde bestätigt oder von den Betreibern gesetzt, deshalb kann dieser Link sie nicht mehr löschen. Wenn Sie das nicht waren, wenden Sie sich an die Betreiber.',
    },
    foreign: {
      title: 'Das kam von einer anderen Seite',
      text: 'Zu Ihrem Schutz ist nichts geschehen. Öffnen Sie den Link noch einmal aus der Nachricht.',
    },
    unreadable: {
      title: 'Das war nicht lesbar',
      text: 'Es ist nichts geschehen. Öffnen Sie den Link noch einmal aus der Nachricht.',
    },
    limited: { title: 'Zu viele Versuche', text: 'Bitte versuchen Sie es später noch einmal.' },
    failed: {
      title: 'Das hat nicht geklappt',
      text: 'Bei uns ist etwas schiefgegangen. Bitte versuchen Sie es gleich noch einmal.',
    },
  },
  back: 'Zurück zur Anwendung',
  wait: (seconds) =>
    `Bitte warten Sie ${seconds === 1 ? 'eine Sekunde' : `${seconds} Sekunden`} und versuchen Sie es noch einmal.`,
  error: 'Fehler',
};
