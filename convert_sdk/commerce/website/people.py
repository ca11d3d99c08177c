"""Contacts, members, their groups and the lists they subscribe to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict, Unpack

from convert_sdk.commerce._call import Call, call, one, query
from convert_sdk.commerce._operations import S_co, listing, operation
from convert_sdk.commerce._pages import Listing
from convert_sdk.commerce._wire import Id, Time, fields_of, required
from convert_sdk.commerce.website._resource import WebsiteResource, by_creation, by_skip, page_of
from convert_sdk.commerce.website.models import Contact, Member, MemberGroup, SsoToken, SubscriberList
from convert_sdk.commerce.website.parts import NameValue, PostalAddress


class ContactFields(TypedDict, total=False):
    """The fields that can be set on a contact. Tags are added to those there are; properties replace by name."""

    name: str
    phone: str
    note: str
    address: str
    city: str
    state: str
    zip: str
    country: str
    company_name: str
    properties: Mapping[str, str] | Sequence[NameValue]
    tags: Sequence[str]
    subscribed: bool
    subscriber_lists: Sequence[int]


class MemberFields(TypedDict, total=False):
    """The fields that can be set on a member, besides name, email and the first password."""

    groups: Sequence[int]
    approved: bool
    billing_address: PostalAddress
    shipping_address: PostalAddress


class NewMemberFields(MemberFields, total=False):
    """The fields that can be set on a new member."""

    password: str


class GroupFields(TypedDict, total=False):
    """The fields that can be set on a member group, besides its name."""

    link: str


class Contacts(WebsiteResource[S_co]):
    """`client.contacts`"""

    @listing
    def list(
        self,
        *,
        created_at_min: Time | None = None,
        created_at_max: Time | None = None,
        limit: int | None = None,
        skip: int | None = None,
    ) -> Listing[Contact]:
        """All contacts, or those created between two times (inclusive)."""
        listed = call(self._paths.list_contacts, page_of(Contact))
        return by_creation(listed, (created_at_min, created_at_max), limit=limit, skip=skip)

    @operation
    def get(self, contact_id: Id) -> Call[Contact]:
        """One contact; NotFoundError if there is none."""
        return call(self._paths.get_contact, one(Contact), id=contact_id)

    @operation
    def find(self, email: str) -> Call[Contact]:
        """The contact with this e-mail address; NotFoundError if there is none."""
        required(email=email)
        return replace(call(self._paths.find_contact_by_email, one(Contact)), query={"email": email})

    @operation
    def upsert(self, email: str, **fields: Unpack[ContactFields]) -> Call[Contact]:
        """Create the contact with this address, or set the given fields of the one there is."""
        required(email=email)
        body = {"email": email} | _contact_body(fields, clearing=True)
        return replace(call(self._paths.upsert_contact, one(Contact)), body=body, repeatable=True)

    @operation
    def update(self, contact_id: Id, *, email: str, **fields: Unpack[ContactFields]) -> Call[Contact]:
        """Set fields of a contact; `email` is required, and no field can be cleared."""
        required(email=email)
        body = {"email": email} | _contact_body(fields, clearing=False)
        return replace(call(self._paths.update_contact, one(Contact), id=contact_id), body=body)


class Members(WebsiteResource[S_co]):
    """`client.members`"""

    @listing
    def list(
        self, *, group_id: Id | None = None, limit: int | None = None, skip: int | None = None
    ) -> Listing[Member]:
        """All members, or those of one group."""
        given = query(groupId=group_id, limit=limit, skip=skip)
        return by_skip(replace(call(self._paths.list_members, page_of(Member)), query=given))

    @operation
    def get(self, member_id: Id) -> Call[Member]:
        """One member; NotFoundError if there is none."""
        return call(self._paths.get_member, one(Member), id=member_id)

    @operation
    def find(self, email: str) -> Call[Member]:
        """The member with this e-mail address; NotFoundError if there is none."""
        required(email=email)
        return replace(call(self._paths.find_member_by_email, one(Member)), query={"email": email})

    @operation
    def create(self, name: str, email: str, **fields: Unpack[NewMemberFields]) -> Call[Member]:
        """Create a member. Without `password` the site sets a random one and mails a reset link."""
        required(name=name, email=email)
        body = {"name": name, "email": email} | fields_of(fields, NewMemberFields, clearing=True)
        return replace(
            call(self._paths.create_member, one(Member)), body=body, secrets=(fields.get("password", ""),)
        )

    @operation
    def update(self, member_id: Id, *, name: str, email: str, **fields: Unpack[MemberFields]) -> Call[Member]:
        """Set fields of a member; name and e-mail are required, and no field can be cleared.

        A password is refused: the API never changes one.
        """
        required(name=name, email=email)
        if "password" in fields:
            raise ValueError("password: the API never changes a member's password, so it is not sent")
        body = {"name": name, "email": email} | fields_of(fields, MemberFields, clearing=False)
        return replace(call(self._paths.update_member, one(Member), id=member_id), body=body)

    @operation
    def sso(self, email: str, *, path: str | None = None) -> Call[SsoToken]:
        """A ticket whose `access_url` logs the member in, at `path`, for 15 minutes.

        The address of this operation is a guess: see `WebsitePaths.create_sso_token`.
        """
        required(email=email)
        return replace(call(self._paths.create_sso_token, one(SsoToken)), body=query(email=email, path=path))


class MemberGroups(WebsiteResource[S_co]):
    """`client.member_groups`"""

    @listing
    def list(self) -> Listing[MemberGroup]:
        """All groups; inferred, as only the operations on one group are documented."""
        return replace(by_skip(call(self._paths.list_member_groups, page_of(MemberGroup))), largest=None)

    @operation
    def get(self, group_id: Id) -> Call[MemberGroup]:
        """One group; NotFoundError if there is none."""
        return call(self._paths.get_member_group, one(MemberGroup), id=group_id)

    @operation
    def create(self, name: str, **fields: Unpack[GroupFields]) -> Call[MemberGroup]:
        """Create a group."""
        required(name=name)
        body = {"name": name} | fields_of(fields, GroupFields, clearing=True)
        return replace(call(self._paths.create_member_group, one(MemberGroup)), body=body)

    @operation
    def update(self, group_id: Id, *, name: str, **fields: Unpack[GroupFields]) -> Call[MemberGroup]:
        """Set a group's name, which is required, and its link."""
        required(name=name)
        body = {"name": name} | fields_of(fields, GroupFields, clearing=True)
        return replace(call(self._paths.update_member_group, one(MemberGroup), id=group_id), body=body)


class SubscriberLists(WebsiteResource[S_co]):
    """`client.subscriber_lists`"""

    @operation
    def create(self, name: str) -> Call[SubscriberList]:
        """Create a list for e-mail marketing."""
        required(name=name)
        return replace(call(self._paths.create_subscriber_list, one(SubscriberList)), body={"name": name})

    @operation
    def update(self, list_id: Id, *, name: str) -> Call[SubscriberList]:
        """Rename a list."""
        required(name=name)
        return replace(
            call(self._paths.update_subscriber_list, one(SubscriberList), id=list_id), body={"name": name}
        )


def _contact_body(fields: ContactFields, *, clearing: bool) -> dict[str, object]:
    body = fields_of(fields, ContactFields, clearing=clearing)
    if isinstance(body.get("properties"), Mapping):
        body["properties"] = [{"name": name, "value": value} for name, value in fields["properties"].items()]  # type: ignore[union-attr]  # a mapping, as was just asked
    return body
