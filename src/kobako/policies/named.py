"""The policies that the settings name, made when the app is.

`multiauth.policy.<name>.use` is one of ours, a policy class that was written for Pyramid, or the dotted name of a
function. That is called with the policy's own options, texts as they stand in the settings, and all settings; what it
returns is an Authenticator. Its name is the policy's, if it brings none of its own.

Source: HTTP API, sections 4.1, 4.3 and 16.7; objects, 15.1.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from kobako.http.site import Authenticator, GroupFinder
from kobako.model.transaction import Authorize
from kobako.policies.address import by_address
from kobako.policies.basic import basic
from kobako.settings import Policy, Settings, SettingsError, dotted, imports, parsing

Factory = Callable[[Mapping[str, str], Settings], Authenticator]

ADDRESS_OPTIONS: Final = ("ipaddrs", "userid", "principals")


def authenticator(policy: Policy, settings: Settings) -> Authenticator:
    """Return the policy that the settings describe. Raises SettingsError for a name that leads to none."""
    if policy.kind == "basicauth":
        return basic(policy.name, settings.userid_hmac_secret, policy.options.get("realm", "Realm"))
    if policy.kind == "ipauth":
        return _by_address(policy)
    if policy.kind in dotted.OFFERED["policy"]:
        raise imports.refused(setting_of(policy), policy.kind, "comes with a plugin that 'includes' does not have")
    found = imports.load_callable(setting_of(policy), policy.kind)
    if hasattr(found, "authenticated_userid"):
        return _of_pyramid(policy, found, settings)
    made = found(policy.options, settings)
    if not isinstance(made, Authenticator):
        raise imports.refused(setting_of(policy), policy.kind, f"returned {made!r}, which is no Authenticator")
    return made if made.name else msgspec.structs.replace(made, name=policy.name)


def _by_address(policy: Policy) -> Authenticator:
    start, options = f"multiauth.policy.{policy.name}", policy.options
    for option in options.keys() - set(ADDRESS_OPTIONS):
        hint = "; for proxies there is 'trusted_proxies'" if option == "proxies" else ""
        raise SettingsError(f"Setting '{start}.{option}' is not offered: there is {', '.join(ADDRESS_OPTIONS)}{hint}.")
    try:
        ranges = parsing.ranges(options.get("ipaddrs", ""))
    except ValueError as error:
        raise SettingsError(f"Setting '{start}.ipaddrs' is '{options['ipaddrs']}': {error}.") from None
    if not ranges:
        raise SettingsError(f"Setting '{start}.ipaddrs' is empty: it has to say from which addresses.")
    user = parsing.text_or_none(options.get("userid", ""))
    return by_address(policy.name, ranges, user, parsing.principals(options.get("principals", "")))


def group_finder(settings: Settings) -> GroupFinder | None:
    """Return what finds the groups of users in place of those that are stored, None for these. Raises SettingsError."""
    setting, name = "multiauth.groupfinder", settings.groupfinder
    if name is None:
        return None
    finder: GroupFinder = _adapter(setting, name).group_finder(imports.load_callable(setting, name), settings)
    return finder


def authorize(settings: Settings) -> Authorize | None:
    """Return what decides in place of our rules who may do what, None for these. Raises SettingsError."""
    setting, name = "multiauth.authorization_policy", settings.authorization_policy
    if name is None:
        return None
    found = imports.load_callable(setting, name)
    if not hasattr(found, "permits"):
        raise imports.refused(setting, name, "has no method 'permits'")
    decide: Authorize = _adapter(setting, name).authorize(_made(setting, name, found, {}), settings)
    return decide


def _of_pyramid(policy: Policy, found: Callable[..., Any], settings: Settings) -> Authenticator:
    setting, name = setting_of(policy), policy.kind
    made = _made(setting, name, found, policy.options)
    asking: Authenticator = _adapter(setting, name).authenticator(policy.name, made, settings)
    return asking


def _made(setting: str, name: str, found: Callable[..., Any], options: Mapping[str, str]) -> Any:
    try:
        return found(**options)
    except Exception as error:
        raise imports.refused(setting, name, f"cannot be made with its options: {error}") from error


def _adapter(setting: str, name: str) -> Any:
    try:
        from kobako.policies import pyramid
    except ImportError as error:
        problem = "was written for Pyramid, which is missing: pip install 'kobako[pyramid]'"
        raise imports.refused(setting, name, problem) from error
    return pyramid


def setting_of(policy: Policy) -> str:
    """Return the name of the setting that says how a policy is made."""
    return "multiauth.policies" if policy.kind == policy.name else f"multiauth.policy.{policy.name}.use"
