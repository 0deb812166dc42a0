import { SessionKind } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { SignInWords } from './sign-in-words.ts';

export const signInGerman: SignInWords = {
  signIn: {
    title: 'Anmelden',
    text: (site) => `Melden Sie sich bei ${site} an.`,
    email: 'E-Mail-Adresse',
    password: 'Passwort',
    button: 'Anmelden',
    register: 'Konto anlegen',
    forgot: 'Passwort vergessen?',
    refused: {
      INVALID_CREDENTIALS: 'Die E-Mail-Adresse oder das Passwort stimmt nicht.',
      INVALID_ARGUMENT: 'Geben Sie Ihre E-Mail-Adresse und Ihr Passwort ein.',
      USER_BANNED: 'Dieses Konto ist gesperrt. Wenden Sie sich an den Betreiber.',
      EMAIL_NOT_VERIFIED:
        'Bestätigen Sie zuerst Ihre E-Mail-Adresse. Der Link ist in der Mail, die Sie bekommen haben.',
      USE_OAUTH_PROVIDER: 'Melden Sie sich mit dem Anbieter an, mit dem Sie sich registriert haben.',
    },
  },
  signOut: {
    title: 'Abmelden',
    text: (site) => `Sie werden in diesem Browser von ${site} abgemeldet.`,
    button: 'Abmelden',
  },
  register: {
    title: 'Konto anlegen',
    text: (site) => `Damit können Sie sich bei ${site} anmelden.`,
    name: 'Name (freiwillig)',
    email: 'E-Mail-Adresse',
    password: 'Passwort',
    inviteCode: 'Einladungscode (freiwillig)',
    inviteHint: 'Nur, wenn Sie einen bekommen haben.',
    button: 'Konto anlegen',
    signIn: 'Mit einem vorhandenen Konto anmelden',
    checkMail: {
      title: 'Sehen Sie in Ihre Mails',
      text: 'Wir haben eine Mail an diese Adresse geschickt. Öffnen Sie den Link darin, kommen Sie dann zurück und melden Sie sich an.',
    },
    refused: {
      INVALID_EMAIL: 'Das ist keine E-Mail-Adresse.',
      EMAIL_ALREADY_REGISTERED: 'Mit dieser E-Mail-Adresse gibt es schon ein Konto. Melden Sie sich damit an.',
      SIGN_UP_DISABLED: 'Zurzeit können keine Konten angelegt werden.',
      INVITE_CODE_REQUIRED: 'Sie brauchen einen Einladungscode, um ein Konto anzulegen.',
      INVALID_INVITE_CODE: 'Dieser Einladungscode ist nicht gültig.',
      INVITE_CODE_USED: 'Dieser Einladungscode wurde schon verwendet.',
      INVITE_CODE_EXPIRED: 'Dieser Einladungscode ist abgelaufen.',
    },
  },
  forgotPassword: {
    title: 'Passwort vergessen?',
    text: 'Geben Sie die E-Mail-Adresse Ihres Kontos ein. Sie bekommen einen Link, mit dem Sie ein neues Passwort wählen können.',
    email: 'E-Mail-Adresse',
    button: 'Link schicken',
    doneTitle: 'Sehen Sie in Ihre Mails',
    done: 'Wenn es ein Konto mit dieser Adresse gibt, ist der Link unterwegs.',
    signIn: 'Zurück zur Anmeldung',
  },
  decision: {
    title: 'Ein Gerät anmelden?',
    text: (site) => `Ein Gerät möchte bei ${site} als Sie angemeldet werden. Es kann dann alles, was Sie auch können.`,
    warning:
      'Stimmen Sie nur zu, wenn Sie das gerade selbst begonnen haben und das Gerät vor Ihnen dieselbe Zahl zeigt. Niemand hat einen Grund, Ihnen so einen Link oder Code zu schicken: Lehnen Sie dann ab.',
    approve: 'Zustimmen',
    deny: 'Ablehnen',
    signedInAs: (email) => `Sie sind angemeldet als ${email}.`,
    guest: 'Gast',
    otherUser: 'Anderes Konto verwenden',
    unnamed: 'unbekannt',
    labels: {
      number: 'Zahl zum Vergleichen',
      code: 'Code',
      client: 'Programm',
      device: 'Gerät',
      address: 'Netzwerkadresse',
      started: 'Begonnen',
    },
    approved: {
      title: 'Zugestimmt',
      text: 'Das Gerät ist jetzt angemeldet. Sie können diese Seite schließen und am Gerät weitermachen.',
    },
    denied: { title: 'Abgelehnt', text: 'Das Gerät wurde nicht angemeldet. Sie können diese Seite schließen.' },
    unknown: { title: 'Diese Anfrage gibt es nicht' },
    refused: {
      USER_CODE_NOT_FOUND:
        'Dieser Code ist nicht gültig oder abgelaufen. Prüfen Sie ihn, oder beginnen Sie am Gerät von vorn.',
      INVALID_LOGIN_CODE:
        'Über diese Anfrage ist schon entschieden, oder sie ist abgelaufen. Beginnen Sie im Programm von vorn.',
      INVALID_AUTH_CODE: 'Dieser Link ist nicht gültig. Beginnen Sie im Programm von vorn.',
      AUTH_CODE_EXPIRED: 'Dieser Link ist abgelaufen. Beginnen Sie im Programm von vorn.',
      ALREADY_CONNECTED: 'Dieses Gerät ist schon angemeldet.',
      OWNERSHIP_CONFLICT: 'Die Anmeldung kann nicht abgeschlossen werden. Melden Sie sich zuerst auf dem Gerät ab.',
      EMAIL_NOT_VERIFIED:
        'Bestätigen Sie zuerst Ihre E-Mail-Adresse. Der Link ist in der Mail, die Sie bekommen haben.',
      INSUFFICIENT_AAL: 'Melden Sie sich zuerst mit Ihrem zweiten Faktor an.',
      GUEST_NOT_ALLOWED: 'Legen Sie zuerst ein Konto an.',
      PASSWORD_CHANGE_REQUIRED: 'Wählen Sie zuerst ein neues Passwort: mit „Passwort vergessen?“ auf der Anmeldeseite.',
      CALLER_NOT_ALLOWED:
        'Sie sind inzwischen anders angemeldet. Es wurde nichts entschieden. Bitte entscheiden Sie noch einmal.',
    },
  },
  enterCode: {
    title: 'Gerät verbinden',
    text: 'Geben Sie den Code ein, den das Gerät anzeigt.',
    label: 'Code',
    hint: 'Acht Buchstaben. Groß- und Kleinschreibung und der Strich sind egal.',
    button: 'Weiter',
  },
  guest: {
    question: 'Sie haben das Programm bisher ohne Konto verwendet. Was soll mit dieser Arbeit geschehen?',
    merge: 'In mein Konto übernehmen',
    keep: 'Lassen, wo sie ist',
    welcome: {
      title: 'Ihre Arbeit behalten',
      text: 'Sie haben dieses Programm ohne Konto verwendet. Legen Sie ein Konto an, um alles zu behalten, oder melden Sie sich mit einem vorhandenen Konto an.',
      register: 'Konto anlegen',
      signIn: 'Mit einem vorhandenen Konto anmelden',
    },
  },
  devices: {
    title: 'Ihre Geräte',
    signedInAs: (email) => `Auf diesen Geräten sind Sie als ${email} angemeldet.`,
    others: 'Überall sonst abmelden',
    signOut: 'In diesem Browser abmelden',
    current: 'dieser Browser',
    revoke: 'Abmelden',
    lastActive: 'zuletzt aktiv',
    unnamed: 'unbekanntes Gerät',
    kinds: {
      [SessionKind.UNSPECIFIED]: 'Browser',
      [SessionKind.WEB]: 'Browser',
      [SessionKind.NATIVE]: 'App',
      [SessionKind.CLI]: 'Kommandozeile',
      [SessionKind.DEVICE]: 'Gerät',
      [SessionKind.SERVICE]: 'Dienst',
    },
  },
};
