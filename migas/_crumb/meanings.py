"""The meanings: what each field of a breadcrumb, and each thing that the server adds, says.

The texts are for a person. `migas show` prints them, and `notice` writes them into a package's own
documentation. The fields and their order are those of `breadcrumb.Breadcrumb`; a test holds that.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: The meaning of each field of a breadcrumb.
FIELDS: Mapping[str, str] = {
    "project": "the package that is used, as owner/repo",
    "project_version": "the version of that package",
    "language": "the programming language of the package",
    "language_version": "the version of the interpreter",
    "platform": "the operating system, such as linux, darwin or win32",
    "container": "the kind of container: docker, apptainer or unknown",
    "is_ci": "whether a continuous integration service runs the program",
    "status": "R running, C completed, F failed, S suspended",
    "status_desc": "the status in the package's own words",
    "error_type": "the class of the error that ended the run",
    "error_desc": "the text of that error, without paths, names and addresses",
    "user_type": "general, dev or ci, as the package says",
    "user_id": "a random number that stands for the user",
    "session_id": "a random number that stands for the run",
}

#: What the server learns without being told, and what that means.
SERVER_NOTES: Mapping[str, str] = {
    "time": "when the breadcrumb arrives",
    "address": "the network address that the request comes from",
    "place": "city, network operator and coordinates, derived from that address",
}
