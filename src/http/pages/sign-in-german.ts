import { SessionKind } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { SignInWords } from './sign-in-words.ts';

export const signInGerman: SignInWords = {
  showPassword: 'Passwort zeigen',
  outdatedForm: 'Dieses Formular war veraltet. Es wurde nichts geändert. Bitte versuchen Sie es noch einmal.',
  invalidForm: 'Etwas in diesem Formular kann nicht verwendet werden. Prüfen Sie es und versuchen Sie es noch einmal.',
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
  provider: {
    button: (label) => `Weiter mit ${label}`,
    going: {
      title: (label) => `Weiter mit ${label}`,
      text: (label) => `Sie werden zu ${label} geleitet.`,
      link: (label) => `${label} öffnen`,
    },
    embedded: {
      text: 'Diese Seite ist in einer anderen App geöffnet, in der andere Anbieter nicht funktionieren. Um sich mit einem anzumelden, kopieren Sie die Adresse und öffnen Sie sie in Ihrem Browser. Ihr Passwort funktioniert auch hier.',
      label: 'Adresse dieser Seite',
    },
    checkMail: {
      title: 'Sehen Sie in Ihre Mails',
      text: 'Ihre E-Mail-Adresse muss zuerst bestätigt werden. Wenn sie verwendet werden kann, haben wir eine Mail an sie geschickt. Öffnen Sie den Link darin, kommen Sie dann zurück und melden Sie sich an.',
    },
    failed: 'Die Anmeldung ist fehlgeschlagen. Versuchen Sie es noch einmal, oder melden Sie sich anders an.',
    again: 'Zurück zur Anmeldung',
    refused: {
      OAUTH_STATE_INVALID:
        'Diese Anmeldung wurde schon verwendet, ist abgelaufen oder wurde in einem anderen Browser begonnen. Bitte beginnen Sie neu.',
      ACCESS_DENIED: 'Sie haben die Anmeldung abgebrochen. Es wurde nichts geändert.',
      OAUTH_PROVIDER_UNAVAILABLE:
        'Der Anbieter antwortet zurzeit nicht. Versuchen Sie es später noch einmal, oder melden Sie sich anders an.',
      IDENTITY_CONFLICT:
        'Mit dieser E-Mail-Adresse gibt es schon ein Konto. Melden Sie sich wie bisher an; danach können Sie den Anbieter verknüpfen.',
      USER_BANNED: 'Dieses Konto ist gesperrt. Wenden Sie sich an den Betreiber.',
      SIGN_UP_DISABLED: 'Zurzeit können keine Konten angelegt werden.',
      INVITE_CODE_REQUIRED: 'Sie brauchen einen Einladungscode, um ein Konto anzulegen.',
      EMAIL_NOT_VERIFIED: 'Der Anbieter hat uns keine bestätigte E-Mail-Adresse gegeben, die ein Konto hier braucht.',
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
    inviteCode: 'Einladungscode',
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
    required: 'Bevor Sie weitermachen können, müssen Sie ein neues Passwort wählen. Sie bekommen einen Link dafür.',
    email: 'E-Mail-Adresse',
    button: 'Link schicken',
    doneTitle: 'Sehen Sie in Ihre Mails',
    done: 'Wenn es ein Konto mit dieser Adresse gibt, ist der Link unterwegs.',
    signIn: 'Zurück zur Anmeldung',
  },
  verification: {
    title: 'E-Mail-Adresse bestätigen',
    text: (email) =>
      `Sie bekommen eine Mail ${email === undefined ? '' : `an ${email} `}mit einem Link, der die Adresse bestätigt. Öffnen Sie ihn, und kommen Sie dann auf diese Seite zurück.`,
    email: 'E-Mail-Adresse',
    button: 'Link schicken',
    doneTitle: 'Sehen Sie in Ihre Mails',
    done: 'Wenn die Adresse noch zu bestätigen ist, ist der Link unterwegs. Öffnen Sie ihn, und machen Sie dann hier weiter.',
    onward: 'Weiter',
    disabled: 'Adressen werden hier nicht per Mail bestätigt. Wenden Sie sich an die Betreiber.',
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
      grant: 'Es bekommt',
      started: 'Begonnen',
    },
    grants: { session: 'eine Sitzung', apiKey: 'einen API-Schlüssel' },
    approved: {
      title: 'Zugestimmt',
      text: 'Das Gerät ist jetzt angemeldet. Sie können diese Seite schließen und am Gerät weitermachen.',
    },
    denied: { title: 'Abgelehnt', text: 'Das Gerät wurde nicht angemeldet. Sie können diese Seite schließen.' },
    unknown: { title: 'Diese Anfrage gibt es nicht' },
    refused: {
      USER_CODE_NOT_FOUND:
        'Dieser Code ist nicht gültig oder abgelaufen. Prüfen Sie ihn, oder beginnen Sie am Gerät von vorn.',
      NO_ANONYMOUS_SESSION:
        'Was Sie ohne Konto gemacht haben, wurde schon übernommen oder ist nicht mehr verfügbar. Melden Sie sich an, um weiterzumachen.',
      INVALID_LOGIN_CODE:
        'Über diese Anfrage ist schon entschieden, oder sie ist abgelaufen. Beginnen Sie im Programm von vorn.',
      INVALID_AUTH_CODE: 'Dieser Link ist nicht gültig. Beginnen Sie im Programm von vorn.',
      AUTH_CODE_EXPIRED: 'Dieser Link ist abgelaufen. Beginnen Sie im Programm von vorn.',
      ALREADY_CONNECTED: 'Dieses Gerät ist schon angemeldet.',
      OWNERSHIP_CONFLICT: 'Die Anmeldung kann nicht abgeschlossen werden. Melden Sie sich zuerst auf dem Gerät ab.',
      EMAIL_NOT_VERIFIED:
        'Bestätigen Sie zuerst Ihre E-Mail-Adresse. Der Link ist in der Mail, die Sie bekommen haben.',
      INSUFFICIENT_AAL: 'Melden Sie sich zuerst mit Ihrem zweiten Faktor an.',
      REAUTHENTICATION_REQUIRED:
        'Dafür müssen Sie sich gerade erst angemeldet haben. Wählen Sie unten „Anderes Konto verwenden“ und melden Sie sich neu an.',
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
    factors: 'Zweite Faktoren',
    current: 'dieser Browser',
    revoke: 'Abmelden',
    keys: 'API-Schlüssel',
    revokeKey: 'Widerrufen',
    lastUsed: 'zuletzt verwendet',
    neverUsed: 'nie verwendet',
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
