--
-- PostgreSQL database dump
--

\restrict 8f3kYp2bWm9QvTzXcRnLdJ5sHgE7aUoKiVqB1yN4xM6tSfD0wPjZrCuGlAhIeOk

-- Dumped from database version 17.4
-- Dumped by pg_dump version 17.6 (Debian 17.6-1.pgdg13+1)

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

CREATE FUNCTION public.seed() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN PERFORM 1;
  INSERT INTO auth.users (id, email) VALUES ('00000000-0000-4000-8000-00000000dead', 'function@example.org');
END;
$$;

/* INSERT INTO auth.users (id, email) VALUES ('00000000-0000-4000-8000-00000000dead', 'comment@example.org'); */

COPY auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at, id) FROM stdin;
d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9	d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9	{"sub": "d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9", "email": "ada@example.org", "email_verified": true, "phone_verified": false}	email	2024-01-15 10:30:00+00	2024-01-15 10:30:00+00	2024-01-15 10:30:00+00	0c1f7bcd-1111-4a0a-9a55-000000000001
108451117823764382771	6d6b1b6e-27a1-4d2b-9a0c-4f4b8d7c1e02	{"iss": "https://accounts.google.com", "sub": "108451117823764382771", "name": "Bob Babbage", "email": "bob@example.org", "picture": "https://images.example.org/bob.png", "full_name": "Bob Babbage", "avatar_url": "https://images.example.org/bob.png", "provider_id": "108451117823764382771", "email_verified": true, "phone_verified": false}	google	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	0c1f7bcd-1111-4a0a-9a55-000000000002
AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ	6d6b1b6e-27a1-4d2b-9a0c-4f4b8d7c1e02	{"sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "email": "bob@example.org"}	azure	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	0c1f7bcd-1111-4a0a-9a55-000000000003
491701234567	d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9	{"sub": "d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9", "phone": "491701234567"}	phone	2024-01-15 10:30:00+00	2024-01-15 10:30:00+00	2024-01-15 10:30:00+00	0c1f7bcd-1111-4a0a-9a55-000000000004
583231	99999999-9999-4999-8999-999999999999	{"sub": "583231", "user_name": "stray"}	github	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	0c1f7bcd-1111-4a0a-9a55-000000000005
\.

COPY auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at, secret, phone, last_challenged_at, web_authn_credential, web_authn_aaguid, last_webauthn_challenge_data) FROM stdin;
3f2c7a10-0000-4000-8000-000000000001	d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9	Ada's phone	totp	verified	2024-01-16 09:00:00+00	2024-01-16 09:00:00+00	JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP	\N	\N	\N	\N	\N
3f2c7a10-0000-4000-8000-000000000002	d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9	\N	phone	verified	2024-01-16 09:00:00+00	2024-01-16 09:00:00+00	\N	491701234567	\N	\N	\N	\N
3f2c7a10-0000-4000-8000-000000000003	d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9	Security key	webauthn	verified	2024-01-16 09:00:00+00	2024-01-16 09:00:00+00	\N	\N	\N	{"id": "{{key:id:base64}}", "publicKey": "{{key:public_key:base64}}", "attestationType": "none", "transport": ["usb", "nfc"], "flags": {"userPresent": true, "userVerified": true, "backupEligible": false, "backupState": false}, "authenticator": {"AAGUID": "AAAAAAAAAAAAAAAAAAAAAA==", "signCount": 0, "cloneWarning": false, "attachment": "cross-platform"}}	\N	\N
3f2c7a10-0000-4000-8000-000000000004	6d6b1b6e-27a1-4d2b-9a0c-4f4b8d7c1e02	Unfinished	totp	unverified	2024-01-16 09:00:00+00	2024-01-16 09:00:00+00	JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP	\N	\N	\N	\N	\N
3f2c7a10-0000-4000-8000-000000000005	7e7e7e7e-0000-4000-8000-000000000003	Sealed	totp	verified	2024-01-16 09:00:00+00	2024-01-16 09:00:00+00	{"key_id":"1","alg":"aes-gcm-hkdf","data":"c2VjcmV0","nonce":"bm9uY2U="}	\N	\N	\N	\N	\N
\.

COPY auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, invited_at, confirmation_token, confirmation_sent_at, recovery_token, recovery_sent_at, email_change_token_new, email_change, email_change_sent_at, last_sign_in_at, raw_app_meta_data, raw_user_meta_data, is_super_admin, created_at, updated_at, phone, phone_confirmed_at, phone_change, phone_change_token, phone_change_sent_at, email_change_token_current, email_change_confirm_status, banned_until, reauthentication_token, reauthentication_sent_at, is_sso_user, deleted_at, is_anonymous) FROM stdin;
00000000-0000-0000-0000-000000000000	d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9	authenticated	authenticated	ada@example.org	$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW	2024-01-15 10:31:00+00	\N		\N		\N			\N	2024-03-01 10:30:00+00	{"provider": "email", "providers": ["email"]}	{"full_name": "Ada Lovelace", "note": "a\\nb\\t\\"c\\"", "email_verified": true}	\N	2024-01-15 12:30:00.123456+02	2024-03-01 10:30:00+00	491701234567	\N			\N		0	\N		\N	f	\N	f
00000000-0000-0000-0000-000000000000	6d6b1b6e-27a1-4d2b-9a0c-4f4b8d7c1e02	authenticated	authenticated	bob@example.org		2024-02-01 08:00:00+00	\N		\N		\N			\N	\N	{"provider": "google", "providers": ["google"]}	{"name": "Bob Babbage"}	\N	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	\N	\N			\N		0	\N		\N	f	\N	f
00000000-0000-0000-0000-000000000000	7e7e7e7e-0000-4000-8000-000000000003	authenticated	moderator	carol@example.org	$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW	\N	\N		\N		\N			\N	\N	{"provider": "email", "providers": ["email"]}	{}	\N	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	\N	\N			\N		0	2099-01-01 00:00:00+00		\N	f	\N	f
00000000-0000-0000-0000-000000000000	7e7e7e7e-0000-4000-8000-000000000004	authenticated	authenticated	ada@example.org		2024-02-01 08:00:00+00	\N		\N		\N			\N	\N	{"provider": "sso:2f1e7d10-8cc2-4bb2-9aa3-8f2d7a3b1c01"}	{}	\N	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	\N	\N			\N		0	\N		\N	t	\N	f
00000000-0000-0000-0000-000000000000	7e7e7e7e-0000-4000-8000-000000000005	authenticated	authenticated	\N		\N	\N		\N		\N			\N	\N	{}	{}	\N	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	\N	\N			\N		0	\N		\N	f	\N	t
00000000-0000-0000-0000-000000000000	7e7e7e7e-0000-4000-8000-000000000006	authenticated	authenticated	deleted@example.org		\N	\N		\N		\N			\N	\N	{}	{}	\N	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	\N	\N			\N		0	\N		\N	f	2024-05-01 08:00:00+00	f
00000000-0000-0000-0000-000000000000	7e7e7e7e-0000-4000-8000-000000000007	authenticated	authenticated	\N		\N	\N		\N		\N			\N	\N	{}	{}	\N	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	491707654321	2024-02-01 08:00:00+00			\N		0	\N		\N	f	\N	f
\.

COPY auth.webauthn_credentials (id, user_id, credential_id, public_key, attestation_type, aaguid, sign_count, transports, backup_eligible, backed_up, friendly_name, created_at, updated_at, last_used_at) FROM stdin;
5a5a5a5a-0000-4000-8000-000000000001	d0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9	\\x{{passkey:id:hex}}	\\x{{passkey:public_key:hex}}	none	\N	0	["internal", "hybrid"]	f	f	Laptop	2024-02-01 08:00:00+00	2024-02-01 08:00:00+00	\N
\.

COPY public.users (id, email) FROM stdin;
00000000-0000-4000-8000-00000000dead	application@example.org
\.

--
-- PostgreSQL database dump complete
--

\unrestrict 8f3kYp2bWm9QvTzXcRnLdJ5sHgE7aUoKiVqB1yN4xM6tSfD0wPjZrCuGlAhIeOk

