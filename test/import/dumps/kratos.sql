--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

COPY public.identity_credential_types (id, name) FROM stdin;
78c1b41d-8341-4507-aa60-aff1d4369670	password
6fa5e2e0-bfce-4631-b62b-cf2b0252b289	oidc
e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a01	totp
e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a02	lookup_secret
e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a03	webauthn
e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a04	passkey
e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a05	code
e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a06	saml
\.

COPY public.identity_credentials (id, config, identity_credential_type_id, identity_id, created_at, updated_at, nid, version) FROM stdin;
11111111-0000-4000-8000-000000000001	{"hashed_password": "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}	78c1b41d-8341-4507-aa60-aff1d4369670	9f425a8d-7efc-4768-8f23-7647a74fdf13	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	0
11111111-0000-4000-8000-000000000002	{"totp_url": "otpauth://totp/Engines:ada@example.org?algorithm=SHA1&digits=6&issuer=Engines&period=30&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}	e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a01	9f425a8d-7efc-4768-8f23-7647a74fdf13	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	0
11111111-0000-4000-8000-000000000003	{"recovery_codes": [{"code": "a1b2c3d4", "used_at": null}, {"code": "e5f6g7h8", "used_at": "0001-01-01T00:00:00Z"}, {"code": "used0000", "used_at": "2024-01-20T10:30:00Z"}]}	e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a02	9f425a8d-7efc-4768-8f23-7647a74fdf13	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	0
11111111-0000-4000-8000-000000000004	{"credentials": [{"id": "{{key:id:base64}}", "public_key": "{{key:public_key:base64}}", "attestation_type": "none", "authenticator": {"aaguid": "AAAAAAAAAAAAAAAAAAAAAA==", "sign_count": 0, "clone_warning": false}, "display_name": "Security key", "added_at": "2024-01-15T10:30:00Z", "is_passwordless": false, "flags": {"user_present": true, "user_verified": true, "backup_eligible": false, "backup_state": false}}], "user_handle": "n0JajX78R2iPI3ZHp0/fEw=="}	e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a03	9f425a8d-7efc-4768-8f23-7647a74fdf13	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	1
11111111-0000-4000-8000-000000000005	{"credentials": [{"id": "{{passkey:id:base64}}", "public_key": "{{passkey:public_key:base64}}", "attestation_type": "none", "authenticator": {"aaguid": null, "sign_count": 0, "clone_warning": false}, "display_name": "Laptop", "added_at": "2024-01-15T10:30:00Z", "is_passwordless": true, "flags": {"user_present": true, "user_verified": true, "backup_eligible": false, "backup_state": false}}], "user_handle": "n0JajX78R2iPI3ZHp0/fEw=="}	e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a04	9f425a8d-7efc-4768-8f23-7647a74fdf13	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	1
11111111-0000-4000-8000-000000000006	{"addresses": [{"channel": "email", "address": "ada@example.org"}]}	e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a05	9f425a8d-7efc-4768-8f23-7647a74fdf13	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	1
11111111-0000-4000-8000-000000000007	{"providers": [{"subject": "108451117823764382771", "provider": "google", "initial_id_token": "", "initial_access_token": "", "initial_refresh_token": ""}, {"subject": "u-1", "provider": "okta", "organization": "e7e3cbae-04cc-45f3-ae52-ea749a2ffaff"}]}	6fa5e2e0-bfce-4631-b62b-cf2b0252b289	9f425a8d-7efc-4768-8f23-7647a74fdf14	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	1
11111111-0000-4000-8000-000000000008	{"hashed_password": "$md5$pf=MTIzNDU=$c2FsdA==$8bd6d4f2"}	78c1b41d-8341-4507-aa60-aff1d4369670	9f425a8d-7efc-4768-8f23-7647a74fdf15	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	0
11111111-0000-4000-8000-000000000009	{"credentials": [{"id": "Y3JlZDE=", "public_key": "cGsx", "attestation_type": "", "display_name": "", "added_at": "0001-01-01T00:00:00Z", "is_passwordless": false}], "user_handle": "dXNlcjE="}	e8d1d0e3-0a2f-4f4f-9c7d-4c2d1b9f6a03	9f425a8d-7efc-4768-8f23-7647a74fdf15	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	0
\.

COPY public.identities (id, schema_id, traits, created_at, updated_at, nid, state, state_changed_at, metadata_public, metadata_admin, available_aal, organization_id) FROM stdin;
9f425a8d-7efc-4768-8f23-7647a74fdf13	default	{"name": {"last": "Lovelace", "first": "Ada"}, "email": "ada@example.org", "company": "Analytical Engines"}	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	active	\N	{"plan": "gold"}	{"secret": "of operators"}	aal2	\N
9f425a8d-7efc-4768-8f23-7647a74fdf14	default	{"name": "Bob Babbage", "email": "bob@example.org"}	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	active	\N	null	\N	aal1	\N
9f425a8d-7efc-4768-8f23-7647a74fdf15	default	{"email": "carol@example.org"}	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	inactive	2024-02-01 10:30:00	\N	\N	aal1	\N
9f425a8d-7efc-4768-8f23-7647a74fdf16	default	{"phone": "+491701234567"}	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000	active	\N	\N	\N	aal1	\N
\.

COPY public.identity_verifiable_addresses (id, status, via, verified, value, verified_at, identity_id, created_at, updated_at, nid) FROM stdin;
22222222-0000-4000-8000-000000000001	completed	email	t	ada@example.org	2024-01-15 10:31:00	9f425a8d-7efc-4768-8f23-7647a74fdf13	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000
22222222-0000-4000-8000-000000000002	completed	email	t	bob@example.org	2024-01-15 10:31:00	9f425a8d-7efc-4768-8f23-7647a74fdf14	2024-01-15 10:30:00	2024-01-15 10:30:00	0c0c0c0c-0000-4000-8000-000000000000
\.
