"""Words that people, customers, deals and campaigns are made of.

Lists only; who gets which name is decided where the person or the customer is made.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    """
    Adam Aisha Akira Amara Andrea Ben Bianca Carlos Chen Clara Daniel Deniz Diego Elena Emil Farah Felix Freya
    Gabriel Hana Hugo Ines Ivan Jana Jonah Kavya Lars Leila Liam Lucia Marco Maren Minh Nadia Omar Paula Ravi Rosa
    Samuel Sana Tara Theo Uma Victor Wei Yara Yusuf Zoe
    """
)
LAST_NAMES = _words(
    """
    Abbott Ahmed Alvarez Baker Becker Bose Castillo Cohen Costa Dubois Eriksen Fischer Fontaine Gupta Haddad Hall
    Hansen Ito Jansen Kaya Keller Kim Kowalski Lambert Larsen Lopez Mason Mehta Meyer Mori Novak Obi Park Patel
    Perez Quinn Reyes Rossi Schmidt Silva Singh Suzuki Tan Torres Walker Weber Wong Young
    """
)
NAME_HEADS = _words(
    """
    Alder Amber Arcadia Basalt Beacon Birch Bramble Cascade Cedar Cobalt Copper Coral Crescent Delta Ember Fjord
    Garnet Granite Harbor Hazel Heron Indigo Juniper Kestrel Lantern Linden Maple Meridian Nimbus Onyx Orchard
    Pinnacle Quarry Raven Saffron Sierra Sterling Summit Tamarind Willow
    """
)
NAME_TAILS = tuple(
    (tail, industry)
    for industry, tails in {
        "Logistics": ("Freight", "Logistics", "Forwarding", "Warehousing"),
        "Manufacturing": ("Castings", "Components", "Machining", "Works"),
        "Retail": ("Markets", "Outfitters", "Stores", "Trading"),
        "Food": ("Dairy", "Foods", "Mills", "Provisions"),
        "Pharma": ("Biotech", "Labs", "Pharma", "Therapeutics"),
    }.items()
    for tail in tails
)
TOWNS = _words(
    """
    North South East West Central Aachen Bergen Cadiz Dover Essen Faro Genoa Hull Izmir Jena Kobe Lyon Malmo
    Nantes Oslo Porto Quito Riga Split Turin Umea Vigo Wels York Zadar Austin Boise Cairns Dallas Eugene Fresno
    Galway Hobart Ipoh Juneau
    """
)
TITLES = ("Operations Director", "Plant Manager", "Head of Logistics", "Procurement Lead", "Automation Engineer")
COURSES = ("Discovery Basics", "Negotiating Value", "Robotics for Sellers", "Forecasting Honestly", "Account Planning")
CAMPAIGN_TYPES = ("Trade Show", "Webinar", "E-mail", "Partner", "Content")
COMPETITORS = ("Borealis Robotics", "Kinetic & Sons", "In-house", "Oder Automation", None, None, None)
SUBJECTS = {
    "task": ("Prepare the offer", "Send the data sheet", "Check the credit line"),
    "call": ("Call about the site visit", "Follow-up call", "Price call"),
    "meeting": ("Demo on site", "Review with operations", "Steering meeting"),
    "email": ("Your questions on Atlas", "Minutes of our meeting", "Offer attached"),
}
# what people type into a long text field, and what readers of such fields trip over
NOTES = (
    "Wants a pilot first.\nDecision in the next quarter.",
    'Said: "too expensive", then asked for two more.',
    "Budget, timing, authority: yes, yes, no",
    "NA",
    "null",
    "None",
    "N/A",
    "Met at the fair 🤖🎉; send photos",
    'Line one\r\nLine "two", with a comma\n\n',
    "Größe prüfen – 東京 site too",
    "=SUM(1,2)",
    "  leading and trailing blanks  ",
    "a\tb",
)
COMMENTS = (
    "Runs well.",
    "Support took three days, otherwise fine.",
    'The arm is "ok", the cart is great',
    "null",
    "Never again 😡",
    None,
    None,
)
